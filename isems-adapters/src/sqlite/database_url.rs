//! The setting `DATABASE_URL`: which file holds the measurements.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

/// The database file that a `DATABASE_URL` names.
///
/// Written as the old collector (`SQLAlchemy`) wrote it, four slashes for an
/// absolute path and three for one relative to the working directory; also
/// accepted are `sqlite:PATH` and `sqlite://PATH`, as in sqlx.
///
/// ```
/// # use isems_adapters::sqlite::DatabaseUrl;
/// # use std::path::Path;
/// let url: DatabaseUrl = "sqlite:////var/lib/isems/isems.db".parse()?;
/// assert_eq!(url.path(), Path::new("/var/lib/isems/isems.db"));
/// # Ok::<(), isems_adapters::sqlite::DatabaseUrlError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseUrl {
    path: PathBuf,
}

/// Why a text names no database file; says what is accepted instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseUrlError {
    /// It does not begin with `sqlite:`.
    #[error("is not an SQLite address; write {FORMS}")]
    NotSqlite,
    /// A database in memory would lose every measurement at the next stop.
    #[error(
        "names a database in memory, which would lose every measurement when the program stops; \
         write {FORMS}"
    )]
    InMemory,
    /// Something follows a `?`, or the file's name holds one.
    #[error(
        "has options after `?`, and none are supported (the collector sets its own); leave them \
         out and write {FORMS}"
    )]
    Options,
    /// It ends in a slash.
    #[error("names a folder; add the name of the file: {FORMS}")]
    Folder,
    /// It holds a `%` that is not followed by two hex digits, or bytes that are
    /// not UTF-8, or NUL.
    #[error("holds a `%` sequence that is no text; write {FORMS}")]
    Encoding,
}

const FORMS: &str = "sqlite:////absolute/path.db (four slashes) or sqlite:///relative/path.db \
                     (three)";

/// Folders that are emptied at a reboot or by a cleaning job.
const TEMPORARY: [&str; 5] = ["/tmp", "/var/tmp", "/dev/shm", "/run", "/private/tmp"];

impl DatabaseUrl {
    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file lies where it will not survive a reboot or a cleaning
    /// job, which is worth a warning at start.
    #[must_use]
    pub fn is_in_temporary_folder(&self) -> bool {
        let absolute = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        TEMPORARY.iter().any(|folder| absolute.starts_with(Path::new(folder)))
    }
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        use DatabaseUrlError as E;

        let rest = text.strip_prefix("sqlite:").ok_or(E::NotSqlite)?;
        let (rest, options) = match rest.split_once('?') {
            Some((rest, options)) => (rest, Some(options)),
            None => (rest, None),
        };
        let in_memory = options.is_some_and(|o| o.split('&').any(|o| o == "mode=memory"));
        // SQLAlchemy takes the path as it stands, sqlx percent-decodes it.
        let path = if let Some(path) = rest.strip_prefix("///") {
            path.to_owned()
        } else {
            percent_decoded(rest.strip_prefix("//").unwrap_or(rest)).ok_or(E::Encoding)?
        };
        if in_memory || path.is_empty() || path == ":memory:" {
            return Err(E::InMemory);
        }
        // A `%3F` too: the form of the old collector cannot name such a file.
        if options.is_some() || path.contains('?') {
            return Err(E::Options);
        }
        if path.ends_with('/') {
            return Err(E::Folder);
        }
        if path.contains('\0') {
            return Err(E::Encoding);
        }
        Ok(Self { path: path.into() })
    }
}

impl fmt::Display for DatabaseUrl {
    /// The form of the old collector.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sqlite:///{}", self.path.display())
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_url_names_a_file() {
        for (text, path) in [
            ("sqlite:////tmp/test.db", "/tmp/test.db"),
            ("sqlite:////var/lib/isems/isems.db", "/var/lib/isems/isems.db"),
            ("sqlite:///data/isems.db", "data/isems.db"),
            ("sqlite:///isems.db", "isems.db"),
            ("sqlite:///50%20.db", "50%20.db"),
            ("sqlite:isems.db", "isems.db"),
            ("sqlite:/var/isems.db", "/var/isems.db"),
            ("sqlite:./isems.db", "./isems.db"),
            ("sqlite://isems.db", "isems.db"),
            ("sqlite://data/isems.db", "data/isems.db"),
            ("sqlite://with%20blank.db", "with blank.db"),
            ("sqlite:////srv/mit Umläuten.db", "/srv/mit Umläuten.db"),
        ] {
            let url: DatabaseUrl = text.parse().unwrap();
            assert_eq!(url.path(), Path::new(path), "{text}");
        }
    }

    #[test]
    fn what_names_no_file_is_refused_by_its_reason() {
        use DatabaseUrlError::{Encoding, Folder, InMemory, NotSqlite, Options};
        for (text, reason) in [
            ("", NotSqlite),
            ("/tmp/test.db", NotSqlite),
            ("postgresql://localhost/isems", NotSqlite),
            ("sqlite+pysqlite:////tmp/test.db", NotSqlite),
            ("sqlite:", InMemory),
            ("sqlite://", InMemory),
            ("sqlite:///", InMemory),
            ("sqlite::memory:", InMemory),
            ("sqlite://:memory:", InMemory),
            ("sqlite:///:memory:", InMemory),
            ("sqlite:////tmp/test.db?mode=memory", InMemory),
            ("sqlite:x?cache=shared&mode=memory", InMemory),
            ("sqlite:////tmp/test.db?mode=rwc", Options),
            ("sqlite:////tmp/test.db?", Options),
            ("sqlite:a%3Fb.db", Options),
            ("sqlite:////var/lib/isems/", Folder),
            ("sqlite:100%.db", Encoding),
            ("sqlite:%ff.db", Encoding),
            ("sqlite:a%00b.db", Encoding),
        ] {
            assert_eq!(text.parse::<DatabaseUrl>(), Err(reason), "{text}");
        }
    }

    #[test]
    fn every_refusal_shows_a_form_that_is_accepted() {
        for text in ["x.db", "sqlite:", "sqlite:x?mode=rwc", "sqlite:x/", "sqlite:%"] {
            let refusal = text.parse::<DatabaseUrl>().unwrap_err().to_string();
            assert!(refusal.contains("sqlite:////absolute/path.db"), "{text}: {refusal}");
        }
    }

    #[test]
    fn it_is_written_as_the_old_collector_wrote_it_and_read_back_the_same() {
        for (text, written) in [
            ("sqlite:/var/isems.db", "sqlite:////var/isems.db"),
            ("sqlite:isems.db", "sqlite:///isems.db"),
            ("sqlite://a%20b%25.db", "sqlite:///a b%.db"),
        ] {
            let url: DatabaseUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), written);
            assert_eq!(written.parse(), Ok(url));
        }
    }

    #[test]
    fn a_file_in_a_temporary_folder_is_noticed() {
        for (text, temporary) in [
            ("sqlite:////tmp/test.db", true),
            ("sqlite:////var/tmp/deep/test.db", true),
            ("sqlite:////dev/shm/test.db", true),
            ("sqlite:////run/isems/test.db", true),
            ("sqlite:////var/lib/isems/isems.db", false),
            ("sqlite:////tmpfiles/test.db", false),
        ] {
            let url: DatabaseUrl = text.parse().unwrap();
            assert_eq!(url.is_in_temporary_folder(), temporary, "{text}");
        }
    }
}
