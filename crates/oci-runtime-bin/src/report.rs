//! Where messages go, and how they are written.
//!
//! Engines read a failed command twice: as a line of the file that `--log` names, and as plain words on standard error. Some
//! take that file for a single JSON object, so in JSON nothing but the error is written to it, unless `--debug` asks for more.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::OnceLock;
use std::time::SystemTime;

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::arguments::Arguments;
use crate::blame;
use crate::failure::{Failure, Misuse};

/// How a message is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// `time=… level=… msg=…`.
    Text,
    /// One object a line.
    Json,
}

/// Where messages go.
#[derive(Debug)]
pub(crate) struct Report {
    format: Format,
    file: Option<File>,
}

static INSTALLED: OnceLock<Report> = OnceLock::new();

impl Report {
    /// Text on standard error.
    pub fn to_stderr() -> Report {
        Report {
            format: Format::Text,
            file: None,
        }
    }

    /// As the global flags say.
    pub fn open(globals: &Arguments) -> Result<Report, Failure> {
        let format = match globals.text("log-format") {
            None => Format::Text,
            Some(name) if name == "text" => Format::Text,
            Some(name) if name == "json" => Format::Json,
            Some(name) => return Err(Misuse::bad("log-format", name, "invalid log-format").into()),
        };
        let file = globals.text("log").map(Path::new).map(append).transpose();
        let file = file.map_err(|failure| blame::value(failure, "log", globals))?;
        Ok(Report { format, file })
    }

    /// Has the library's messages come here as well.
    pub fn install(self, globals: &Arguments) -> &'static Report {
        let level = match self.format {
            _ if globals.switch("debug") => LevelFilter::Debug,
            Format::Text => LevelFilter::Warn,
            Format::Json => LevelFilter::Off,
        };
        let report = INSTALLED.get_or_init(|| self);
        if log::set_logger(report).is_ok() {
            log::set_max_level(level);
        }
        report
    }

    /// Tells of the failure that ends the command, and answers its exit status.
    pub fn fail(&self, prefix: &str, failure: &Failure, status: u8) -> u8 {
        let message = format!("{prefix}{failure}").replace('\n', " ");
        self.write(Level::Error, &message);
        if self.file.is_some() {
            let _ = io::stderr().write_all(format!("{message}\n").as_bytes());
        }
        status
    }

    /// A message that cannot be written has nowhere else to go.
    fn write(&self, level: Level, message: &str) {
        let line = line(self.format, level, message, SystemTime::now());
        let _ = match &self.file {
            Some(file) => (&*file).write_all(line.as_bytes()),
            None => io::stderr().write_all(line.as_bytes()),
        };
    }
}

/// Several runtimes may write to one file, a line with one write each.
fn append(path: &Path) -> Result<File, Failure> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o644);
    options.open(path).map_err(|source| Failure::File {
        action: "open the log",
        path: path.to_owned(),
        source,
    })
}

/// One message.
fn line(format: Format, level: Level, message: &str, time: SystemTime) -> String {
    let time = humantime::format_rfc3339_seconds(time);
    let level = match level {
        Level::Error => "error",
        Level::Warn => "warning",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    };
    match format {
        Format::Text => format!("time=\"{time}\" level={level} msg={}\n", quoted(message)),
        Format::Json => {
            let message = serde_json::Value::from(message);
            format!("{{\"level\":\"{level}\",\"msg\":{message},\"time\":\"{time}\"}}\n")
        }
    }
}

/// Quotes where a bare word would be ambiguous.
fn quoted(text: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || "-._/@^+".contains(c);
    if !text.is_empty() && text.chars().all(bare) {
        text.to_owned()
    } else {
        format!("{text:?}")
    }
}

impl Log for Report {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.write(record.level(), &record.args().to_string());
        }
    }

    fn flush(&self) {}
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn at_the_epoch(format: Format, level: Level, message: &str) -> String {
        line(
            format,
            level,
            message,
            UNIX_EPOCH + Duration::from_millis(1999),
        )
    }

    #[test]
    fn json_is_one_object_a_line_with_a_level_in_lower_case() {
        let line = at_the_epoch(Format::Json, Level::Error, "a \"b\"\n\u{1}c");
        assert_eq!(
            line,
            "{\"level\":\"error\",\"msg\":\"a \\\"b\\\"\\n\\u0001c\",\"time\":\"1970-01-01T00:00:01Z\"}\n"
        );
        let object: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(object["msg"], "a \"b\"\n\u{1}c");
    }

    #[test]
    fn text_is_quoted_where_it_has_to_be() {
        let text = |message| at_the_epoch(Format::Text, Level::Warn, message);
        assert_eq!(
            text("word"),
            "time=\"1970-01-01T00:00:01Z\" level=warning msg=word\n"
        );
        assert_eq!(
            text("a \"b\""),
            "time=\"1970-01-01T00:00:01Z\" level=warning msg=\"a \\\"b\\\"\"\n"
        );
        assert_eq!(
            text(""),
            "time=\"1970-01-01T00:00:01Z\" level=warning msg=\"\"\n"
        );
    }
}
