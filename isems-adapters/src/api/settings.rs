//! What an operator can choose of the API, and its limits.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use hyper::header::HeaderValue;
use jiff::tz::TimeZone;
use url::Url;

use super::map_tiles::MapTiles;

/// How the API is served.
#[derive(Clone, Debug)]
pub struct ApiSettings {
    /// Where to listen (`ISEMS_LISTEN`); port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Whose offset timestamps are shown with (`ISEMS_TIMEZONE`).
    pub zone: TimeZone,
    /// Which web pages of other origins may read measurements
    /// (`ISEMS_CORS_ORIGIN`).
    pub cors_origin: CorsOrigin,
    /// The folder of a built isems-app to serve at `/` (`ISEMS_APP_DIR`).
    pub app_dir: Option<PathBuf>,
    /// What the map of the collector's page is drawn on (`ISEMS_MAP_TILES`).
    pub map_tiles: MapTiles,
    /// What clients may cost.
    pub limits: ApiLimits,
}

impl ApiSettings {
    /// The API at `listen` with times in `zone`, readable from every origin,
    /// without an app or map tiles, under the default limits.
    #[must_use]
    pub fn new(listen: SocketAddr, zone: TimeZone) -> Self {
        Self {
            listen,
            zone,
            cors_origin: CorsOrigin::default(),
            app_dir: None,
            map_tiles: MapTiles::default(),
            limits: ApiLimits::default(),
        }
    }
}

/// What clients may cost, together and each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiLimits {
    /// Connections in all. At the limit the one that has been idle longest is
    /// dropped for a new one; a new one is refused if none is idle.
    pub connections: usize,
    /// Connections per client address (IPv6: per /64 network), in the same
    /// manner. Loopback is exempt: a reverse proxy lives there.
    pub connections_per_address: usize,
    /// Bytes of a request's line and headers; more is answered with `431` (or
    /// `414`).
    pub header_bytes: usize,
    /// From the opening of a connection, or the end of its last answer, to the
    /// end of the next request's headers.
    pub header_time: Duration,
    /// Bytes of a request body that are read and ignored; a connection that
    /// brings more is closed after the answer.
    pub request_body_bytes: usize,
    /// From the end of a request's headers to the beginning of its answer; an
    /// answer that is not ready by then is a `503`. The further pieces of one
    /// that has begun may take six times as long each: it cannot say `503` any
    /// more.
    pub request_time: Duration,
    /// How long an answer may wait for its reader in all, beyond the time that
    /// `slowest_reader` allows for its bytes.
    pub write_stall: Duration,
    /// Bytes per second that a reader must take at least.
    pub slowest_reader: u32,
    /// How long a client may take nothing of what it was given while another
    /// waits for that (room, or the place of an export); then it can be given up.
    /// To be longer than the pauses of one that takes an answer slowly, and
    /// shorter than `request_time`, after which who waits is told `503`.
    pub patience: Duration,
    /// Bytes per second that a client must take while another waits for what it
    /// holds, over `steady_time`; or else it can be given up too.
    pub steady_reader: u32,
    /// See `steady_reader`.
    pub steady_time: Duration,
    /// Requests that read measurements at once; others wait for their turn. Half
    /// of the turns are for histories, half for everything else.
    pub concurrent_reads: usize,
    /// Bytes of measurements on their way to all clients together, three quarters
    /// of them for histories; an answer for which there is no room waits, at most
    /// `request_time`. Meanwhile those go that have taken nothing of theirs for
    /// all of `patience`, longest first, as many as it takes. Clients of one address
    /// (IPv6: /64 network) have half of each kind, or a single answer. Loopback is
    /// exempt: a reverse proxy lives there.
    pub answer_bytes: usize,
    /// Bytes of small files of the app and of map tiles on their way to all clients
    /// together, in the same manner.
    pub file_bytes: usize,
    /// Large files of the app on their way at once, each of them open; others
    /// wait for their turn in the same manner.
    pub files: usize,
    /// Clients that may follow events at once; more are answered with `503`.
    pub event_clients: usize,
    /// How many of them may have the same address (IPv6: /64 network). Loopback
    /// is exempt: a reverse proxy lives there.
    pub event_clients_per_address: usize,
    /// How often the newest measurements are looked at while somebody follows
    /// events.
    pub event_interval: Duration,
    /// How long a client that follows events may hear nothing before it gets a
    /// sign of life.
    pub event_heartbeat: Duration,
    /// Exports under way at once, half of them for one address; others wait for
    /// their turn in the same manner.
    pub exports: usize,
    /// How long answers that are under way may take when the server stops.
    pub drain_time: Duration,
}

impl Default for ApiLimits {
    fn default() -> Self {
        Self {
            // Well below the usual 1,024 open files per process.
            connections: 512,
            connections_per_address: 64,
            header_bytes: 16 * 1024,
            header_time: Duration::from_secs(15),
            request_body_bytes: 64 * 1024,
            request_time: Duration::from_secs(10),
            write_stall: Duration::from_secs(20),
            slowest_reader: 1024,
            patience: Duration::from_secs(5),
            steady_reader: 4 * 1024,
            steady_time: Duration::from_secs(30),
            concurrent_reads: 8,
            answer_bytes: 32 * 1024 * 1024,
            file_bytes: 8 * 1024 * 1024,
            files: 32,
            event_clients: 64,
            event_clients_per_address: 8,
            event_interval: Duration::from_secs(2),
            event_heartbeat: Duration::from_secs(15),
            exports: 8,
            drain_time: Duration::from_secs(5),
        }
    }
}

/// Which web pages of other origins may read measurements: the value of
/// `Access-Control-Allow-Origin`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CorsOrigin {
    /// Pages of every origin (`*`).
    #[default]
    Any,
    /// Pages of this origin only.
    Only(HeaderValue),
}

/// A text that is neither `*` nor an origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is neither `*` nor an origin such as `https://map.example.org` \
     (scheme, host and perhaps port; no path and no slash at the end)"
)]
pub struct CorsOriginError(String);

impl std::str::FromStr for CorsOrigin {
    type Err = CorsOriginError;

    /// `*`, or one origin: `http://` or `https://`, host, perhaps port. It
    /// becomes what browsers send and compare it with: in lower case, without
    /// the scheme's own port.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let plain = |c: char| c.is_alphanumeric() || "-._:[]".contains(c);
        let origin = text
            .split_once("://")
            .filter(|(scheme, host)| {
                ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
                    && !host.is_empty()
                    && host.chars().all(plain)
            })
            .and_then(|_| Url::parse(text).ok())
            .and_then(|url| HeaderValue::from_str(&url.origin().ascii_serialization()).ok());
        origin.map(Self::Only).ok_or_else(|| CorsOriginError(text.to_owned()))
    }
}

impl CorsOrigin {
    /// The header's value.
    pub(super) fn header(&self) -> HeaderValue {
        match self {
            Self::Any => HeaderValue::from_static("*"),
            Self::Only(origin) => origin.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cors_origin_is_a_star_or_scheme_host_and_perhaps_port() {
        assert_eq!("*".parse(), Ok(CorsOrigin::Any));
        for good in ["https://map.example.org", "http://10.0.0.1:8080", "http://[fd00::1]:8080"] {
            let origin: CorsOrigin = good.parse().unwrap();
            assert_eq!(origin.header(), good);
        }
        for (written, sent) in [
            ("https://Map.Example", "https://map.example"),
            ("HTTPS://map.example:443", "https://map.example"),
            ("http://map.example:80", "http://map.example"),
            ("http://map.example:443", "http://map.example:443"),
            ("http://[FD00:0::1]:080", "http://[fd00::1]"),
            ("https://käfer.example", "https://xn--kfer-loa.example"),
        ] {
            let origin: CorsOrigin = written.parse().unwrap();
            assert_eq!(origin.header(), sent, "{written} as browsers send it");
        }
        for bad in [
            "",
            "https://map.example:99999",
            "https://map.example?x",
            "https:map.example",
            "https://[map]",
            "map.example.org",
            "https://",
            "https://map.example.org/",
            "https://a.example, https://b.example",
            "https://*.example.org",
            "https://user@example.org",
            "ftp://example.org",
            "null",
        ] {
            let error = bad.parse::<CorsOrigin>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{bad}` is neither")), "{error}");
        }
    }
}
