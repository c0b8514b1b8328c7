//! The project's verbs: `cargo xtask <verb>`. Each does its own set-up, so that a clean clone needs nothing else.
//!
//! Order of reading: [`arguments`] says what can be typed, then one module a verb.

mod arguments;
mod bench;
mod codegen;
mod demo;
mod dist;
mod process;
mod setup;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use arguments::{Depth, Options, Verb};
use setup::kubernetes::Release;
use workspace::Workspace;

fn main() -> ExitCode {
    let (verb, options) = match arguments::parse(std::env::args().skip(1)) {
        Ok(parsed) => parsed,
        Err(problem) => {
            eprintln!("xtask: {problem}\n\n{}", arguments::USAGE);
            return ExitCode::FAILURE;
        }
    };
    match run(verb, &options) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb, options: &Options) -> anyhow::Result<ExitCode> {
    let workspace = Workspace::find()?;
    match verb {
        Verb::Help => println!("{}", arguments::USAGE),
        Verb::Tidy => return Ok(tidy::run(&workspace)?.exit_code()),
        Verb::Setup => {
            setup::run(options.consent)?;
            setup::kubernetes::run(Release::Current);
            if options.depth == Depth::Deep {
                setup::kubernetes::run(Release::Older);
            }
        }
        Verb::Test => return test::run(&workspace, options),
        Verb::Dist => dist::run(&workspace)?,
        Verb::Bench => return bench::run(&workspace, options),
        Verb::Demo => return demo::run(&workspace, options),
        Verb::Codegen => return codegen::run(&workspace, options.generated),
        Verb::Bless => {
            process::cargo(&workspace)
                .env("INSTA_UPDATE", "always")
                .args(["test", "--workspace"])
                .run()?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
