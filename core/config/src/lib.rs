#![doc = include_str!("../README.md")]

mod duration;
mod file;
mod resolve;
mod table;
mod value;

pub use duration::{format_duration, parse_duration};
pub use file::{Entry, FileError, parse_file};
pub use resolve::{Config, Explanation, Layers, Setting, Source, Warning};
pub use table::{Change, Param, Reach, Row, Zero};
pub use value::{Failsafe, Kind, TableRange, Unit, Value, Wanted};
