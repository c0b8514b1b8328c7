//! A small HTTP endpoint for health and metrics, on a thread of its own so that a busy loop still answers.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};

/// What a path answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body's type.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

impl Answer {
    /// Plain text with a status.
    pub fn text(status: u16, body: impl Into<String>) -> Answer {
        Answer {
            status,
            content_type: "text/plain; charset=utf-8",
            body: body.into(),
        }
    }
}

/// Answers a path, or says that there is none such.
pub type Handler = Arc<dyn Fn(&str) -> Option<Answer> + Send + Sync>;

/// Serves until the process ends. The address is bound before this returns.
///
/// # Errors
/// The address cannot be bound, or no thread can be started.
pub fn serve(address: SocketAddr, handler: Handler) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let bound = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let serve = move || {
        runtime.block_on(async move {
            let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
                return;
            };
            let router = Router::new().fallback(answer).with_state(handler);
            if let Err(error) = axum::serve(listener, router).await {
                tracing::warn!(%error, %bound, "HTTP endpoint ended");
            }
        });
    };
    std::thread::Builder::new()
        .name("http".into())
        .spawn(serve)?;
    Ok(bound)
}

async fn answer(State(handler): State<Handler>, uri: Uri) -> Response {
    match handler(uri.path()) {
        Some(answer) => {
            let status =
                StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, [("content-type", answer.content_type)], answer.body).into_response()
        }
        None => (StatusCode::NOT_FOUND, "no such page\n").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpStream;

    fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn answers_known_paths_only() {
        let handler: Handler =
            Arc::new(|path| (path == "/live").then(|| Answer::text(503, "not yet\n")));
        let address = serve("127.0.0.1:0".parse().unwrap(), handler).unwrap();
        assert!(get(address, "/live").starts_with("HTTP/1.1 503"));
        assert!(get(address, "/live").ends_with("not yet\n"));
        assert!(get(address, "/other").starts_with("HTTP/1.1 404"));
    }
}
