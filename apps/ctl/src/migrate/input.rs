//! The file of an import, read object by object: lists of any length take no more memory than their largest object.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write as _};

use serde_json::Value;

use super::ipam_part::{self, Found};
use crate::objects::unique_id;
use crate::outcome::{Failure, Status};
use crate::session::Session;
use crate::yaml::{Source, documents};

/// The largest ClusterInformation that is read.
const MOST_INFORMATION: u64 = 16 << 20;

/// A file that can be read more than once.
pub(super) struct Input {
    file: File,
    name: String,
    /// Where the last part begins, once the file was read.
    last_part: u64,
}

/// Which part of the file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    /// All of it.
    Whole,
    /// The stream of objects.
    Stream,
    /// The last part, of a file that was read before.
    Last,
}

/// What is found in the file.
#[derive(Debug)]
pub(super) enum Record {
    /// An object of the stream.
    Object {
        value: Value,
        /// The line it begins in.
        line: u64,
    },
    /// A part of the stream that is no object.
    Broken(Failure),
    /// ClusterInformation.
    Information(Value),
    /// A piece of the last part.
    Last(Found),
}

impl Input {
    /// Opens a file; standard input is kept in a file of its own first.
    pub(super) fn open(filename: &str, session: &mut Session<'_>) -> Result<Input, Failure> {
        let unreadable = |error: std::io::Error| {
            let status = if error.kind() == std::io::ErrorKind::NotFound {
                Status::NotFound
            } else {
                Status::General
            };
            let text = format!("error while reading migration file: open {filename}: {error}");
            Failure::new(status, text)
        };
        if filename != "-" {
            return Ok(Input {
                file: File::open(filename).map_err(unreadable)?,
                name: filename.to_owned(),
                last_part: 0,
            });
        }
        Ok(Input {
            file: spooled(session.stdin, &unique_id()?).map_err(unreadable)?,
            name: "standard input".to_owned(),
            last_part: 0,
        })
    }

    /// The file's name, for messages.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Reads a part of the file and hands over what is found, in its order.
    ///
    /// # Errors
    /// What `each` fails with, or that this is no such file.
    pub(super) fn read(
        &mut self,
        section: Section,
        each: &mut dyn FnMut(Record) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let start = match section {
            Section::Whole | Section::Stream => 0,
            Section::Last => self.last_part,
        };
        (&self.file).seek(SeekFrom::Start(start))?;
        let mut reader = BufReader::with_capacity(1 << 16, &self.file);
        if section != Section::Last {
            Stream::new(&self.name).read(&mut reader, each)?;
        }
        if section == Section::Stream {
            return Ok(());
        }
        if section == Section::Whole {
            let information = self.information(&mut reader)?;
            each(Record::Information(information))?;
            self.last_part = reader.stream_position()?;
        }
        ipam_part::read(reader, &mut |found| each(Record::Last(found)))
    }

    fn information(&self, reader: &mut impl BufRead) -> Result<Value, Failure> {
        let mut text = Vec::new();
        let mut line = Vec::new();
        loop {
            line.clear();
            let most = MOST_INFORMATION.saturating_sub(text.len() as u64);
            if reader.by_ref().take(most).read_until(b'\n', &mut line)? == 0 {
                return Err(malformed(&self.name, "it has no IPAM part"));
            }
            if is_separator(&line) {
                break;
            }
            text.extend_from_slice(&line);
        }
        serde_json::from_slice(&text).map_err(|error| {
            let text = format!("error reading exported cluster info for migration: {error}");
            Failure::new(Status::Validation, text)
        })
    }
}

/// A file without a name that holds what a stream has to say.
fn spooled(stream: &mut dyn Read, name: &str) -> std::io::Result<File> {
    let path = std::env::temp_dir().join(format!("calicoctl-import-{name}"));
    let mut options = OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)?;
    std::fs::remove_file(&path)?;
    std::io::copy(stream, &mut file)?;
    file.flush()?;
    Ok(file)
}

fn is_separator(line: &[u8]) -> bool {
    matches!(line, b"===\n" | b"===\r\n")
}

fn malformed(name: &str, why: &str) -> Failure {
    Failure::new(
        Status::Validation,
        format!(
            "error while reading migration file: imported file: {name} is improperly formatted ({why}). \
             Try recreating with 'calicoctl datastore migrate export'"
        ),
    )
}

/// The stream of documents.
struct Stream<'a> {
    name: &'a str,
    line: u64,
    /// The document that is being read, but for the items that were handed over.
    document: String,
    document_line: u64,
    /// The item that is being read.
    item: String,
    item_line: u64,
    place: Place,
    handed_over: bool,
}

/// Where in a document the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Outside of a list whose items can be told apart by their lines.
    Document,
    /// After the line `items:`.
    List,
}

impl<'a> Stream<'a> {
    fn new(name: &'a str) -> Stream<'a> {
        Stream {
            name,
            line: 0,
            document: String::new(),
            document_line: 1,
            item: String::new(),
            item_line: 0,
            place: Place::Document,
            handed_over: false,
        }
    }

    fn read(
        mut self,
        reader: &mut impl BufRead,
        each: &mut dyn FnMut(Record) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            if reader.read_until(b'\n', &mut bytes)? == 0 {
                return Err(malformed(self.name, "it has no ClusterInformation"));
            }
            self.line += 1;
            if is_separator(&bytes) {
                return self.end_document(each);
            }
            let Ok(line) = std::str::from_utf8(&bytes) else {
                let why = format!("line {} is not UTF-8 text", self.line);
                return Err(malformed(self.name, &why));
            };
            self.take(line, each)?;
        }
    }

    fn take(
        &mut self,
        line: &str,
        each: &mut dyn FnMut(Record) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let rest = line.strip_prefix("---");
        if rest.is_some_and(|rest| rest.starts_with(char::is_whitespace)) {
            self.end_document(each)?;
            self.document_line = self.line + 1;
            return Ok(());
        }
        match self.place {
            Place::List if line.starts_with("- ") => {
                self.end_item(each)?;
                self.item_line = self.line;
                self.item.push_str(line);
            }
            Place::List if !self.item.is_empty() && line.starts_with([' ', '\n', '\r', '#']) => {
                self.item.push_str(line);
            }
            Place::List | Place::Document => {
                self.end_item(each)?;
                self.place = if line.trim_end() == "items:" {
                    Place::List
                } else {
                    Place::Document
                };
                self.document.push_str(line);
            }
        }
        Ok(())
    }

    fn end_item(
        &mut self,
        each: &mut dyn FnMut(Record) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let text = std::mem::take(&mut self.item);
        if text.is_empty() {
            return Ok(());
        }
        self.handed_over = true;
        self.objects(text, self.item_line, each)
    }

    fn end_document(
        &mut self,
        each: &mut dyn FnMut(Record) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.end_item(each)?;
        self.place = Place::Document;
        let text = std::mem::take(&mut self.document);
        // Of a list whose items were handed over, only what it is called is left.
        if std::mem::take(&mut self.handed_over) {
            return Ok(());
        }
        self.objects(text, self.document_line, each)
    }

    /// Hands over the objects of a text that begins at a line.
    fn objects(
        &self,
        text: String,
        line: u64,
        each: &mut dyn FnMut(Record) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let source = Source {
            name: self.name.to_owned(),
            text,
        };
        let broken = |line: u64, why: &str| {
            let text = format!("{}, line {line}: {why}", self.name);
            Record::Broken(Failure::new(Status::Validation, text))
        };
        for document in documents(&source) {
            let content = match document.content {
                Ok(content) => content,
                Err(unreadable) => {
                    let at = unreadable.at.map_or(line, |at| at.line + line - 1);
                    each(broken(at, &unreadable.message))?;
                    continue;
                }
            };
            let values = match content.items() {
                Some(items) => items.iter().map(|item| item.to_value()).collect(),
                None => vec![content.to_value()],
            };
            for value in values {
                match api::expand_list(value) {
                    Ok(values) => values
                        .into_iter()
                        .try_for_each(|value| each(Record::Object { value, line }))?,
                    Err(problem) => each(broken(line, &problem.to_string()))?,
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        let outcome = Stream::new("f").read(&mut text.as_bytes(), &mut |record| {
            found.push(match record {
                Record::Object { value, line } => format!("{line}: {value}"),
                Record::Broken(failure) => failure.text,
                Record::Information(_) | Record::Last(_) => "more".to_owned(),
            });
            Ok(())
        });
        found.extend(outcome.err().map(|failure| failure.text));
        found
    }

    #[test]
    fn lists_are_read_item_by_item() {
        let text = "\
apiVersion: v
items:
- kind: A
  text: |
    one

    # two
- kind: B
kind: AList
metadata:
  resourceVersion: \"1\"
---
# none
apiVersion: v
items: []
kind: BList
---
items:
  - kind: C
    x: [1,
  - kind: D
kind: CList
---
kind: E
---
{\"kind\": \"FList\", \"items\": [{}]}
===
";
        insta::assert_snapshot!(stream(text).join("\n"));
    }

    #[test]
    fn what_ends_too_early_is_no_export() {
        insta::assert_snapshot!(stream("kind: A\n---\n").join("\n"));
        assert_eq!(stream("===\n"), Vec::<String>::new());
    }
}
