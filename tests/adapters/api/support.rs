//! A server over a repository of the test's making, and a client that sends
//! exactly the bytes it is told to.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use isems_adapters::api::{ApiError, ApiServer, ApiSettings};
use isems_core::{
    ActivityRule, Basis, Bucket, Clock, HOUR, HistoryRange, Measurement, MeasurementReader, NodeId,
    NodeStatus, RepoError, Reported, Sample, SourceSummary, StoredMeasurement, Timestamp, roll_up,
};
use jiff::tz::TimeZone;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// The present moment of every server here: 2025-06-01T09:09:05Z.
pub(super) const NOW: Timestamp = Timestamp::from_unix(1_748_768_945);

/// Longer than anything here may take.
pub(super) const BOUND: Duration = Duration::from_secs(20);

struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        NOW
    }
}

/// What the next reads fail with, made anew for each.
pub(super) type Fault = Box<dyn Fn() -> RepoError + Send>;

/// A repository that a test fills, breaks and holds up.
pub(super) struct Stub {
    pub(super) rows: Mutex<Vec<StoredMeasurement>>,
    pub(super) sources: Mutex<Vec<SourceSummary>>,
    pub(super) fault: Mutex<Option<Fault>>,
    /// Reads that have begun.
    pub(super) begun: AtomicUsize,
    /// A read takes one of these for good; many, unless the test takes them away.
    pub(super) gate: Semaphore,
}

impl Stub {
    pub(super) fn of(rows: Vec<StoredMeasurement>) -> Arc<Self> {
        Arc::new(Self {
            rows: Mutex::new(rows),
            sources: Mutex::default(),
            fault: Mutex::default(),
            begun: AtomicUsize::new(0),
            gate: Semaphore::new(1_000_000),
        })
    }

    /// From now on reads wait for [`Semaphore::add_permits`] on the gate.
    pub(super) fn hold_up(&self) {
        self.gate.forget_permits(usize::MAX >> 4);
    }

    pub(super) fn fail_with(&self, fault: impl Fn() -> RepoError + Send + 'static) {
        *self.fault.lock().unwrap() = Some(Box::new(fault));
    }

    async fn enter(&self) -> Result<(), RepoError> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.gate.acquire().await.unwrap().forget();
        self.fault.lock().unwrap().as_ref().map_or(Ok(()), |f| Err(f()))
    }
}

#[async_trait]
impl MeasurementReader for Stub {
    async fn latest(&self, since: Option<Timestamp>) -> Result<Vec<StoredMeasurement>, RepoError> {
        self.enter().await?;
        let mut newest = std::collections::BTreeMap::new();
        let mut rows = self.rows.lock().unwrap().clone();
        rows.sort_by_key(|row| row.measurement.observed);
        for row in rows {
            newest.insert(row.measurement.node.clone(), row);
        }
        let active = |row: &StoredMeasurement| since.is_none_or(|s| row.measurement.observed > s);
        Ok(newest.into_values().filter(active).collect())
    }

    async fn history(
        &self,
        node: &NodeId,
        range: HistoryRange,
        limit: usize,
    ) -> Result<Vec<StoredMeasurement>, RepoError> {
        self.enter().await?;
        let mut rows = self.rows.lock().unwrap().clone();
        rows.retain(|r| r.measurement.node == *node && range.contains(r.measurement.observed));
        rows.sort_by_key(|row| std::cmp::Reverse(row.measurement.observed));
        rows.truncate(limit);
        Ok(rows)
    }

    async fn rollups(&self, node: &NodeId, range: HistoryRange) -> Result<Vec<Bucket>, RepoError> {
        let rows = self.history(node, HistoryRange::ALL, usize::MAX).await?;
        let mut hours = roll_up(rows.iter().map(|row| &row.measurement), HOUR);
        hours.retain(|hour| range.contains(hour.begin));
        Ok(hours)
    }

    async fn sources(&self) -> Result<Vec<SourceSummary>, RepoError> {
        self.enter().await?;
        Ok(self.sources.lock().unwrap().clone())
    }
}

/// A measurement of `node`, `age` seconds old.
pub(super) fn row(id: i64, node: &str, age: i64) -> StoredMeasurement {
    let observed = NOW.plus(-age);
    let sample = Sample {
        revision: "1".to_owned(),
        firmware: "ESP_2.0".to_owned(),
        time_to_shutdown: Some(3592.0),
        power_save: false,
        open_circuit_voltage: Some(13.513),
        mpp_voltage: Some(13.588),
        battery_voltage: Some(12.999),
        state_of_charge: Some(95.0),
        battery_health: Some(100.0),
        battery_temperature: Some(27.84),
        low_voltage_disconnect: Some(11.9),
        charge_end_voltage: Some(14.014),
        battery_capacity: Some(50.0),
        module_power: Some(50.0),
        latitude: Some(52.47388),
        longitude: Some(13.39051),
        status: Some(NodeStatus::HEALTHY),
    };
    let measurement = Measurement {
        node: NodeId::new(node).unwrap(),
        observed,
        reported: Reported::Time(observed),
        basis: Basis::Node,
        received: Some(observed.plus(20)),
        sample,
    };
    StoredMeasurement { id, measurement }
}

/// A server that answers until it is dropped.
pub(super) struct Api {
    pub(super) address: SocketAddr,
    pub(super) stop: CancellationToken,
    pub(super) served: JoinHandle<Result<(), ApiError>>,
}

impl Drop for Api {
    fn drop(&mut self) {
        self.served.abort();
    }
}

pub(super) fn settings() -> ApiSettings {
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    ApiSettings::new("127.0.0.1:0".parse().unwrap(), zone)
}

pub(super) async fn start(stub: &Arc<Stub>) -> Api {
    start_with(stub, settings()).await
}

pub(super) async fn start_with(stub: &Arc<Stub>, settings: ApiSettings) -> Api {
    start_over(Arc::clone(stub) as _, Arc::new(FixedClock), settings).await
}

/// A server over any repository and clock.
pub(super) async fn start_over(
    reader: Arc<dyn MeasurementReader>,
    clock: Arc<dyn Clock>,
    settings: ApiSettings,
) -> Api {
    let activity = ActivityRule::default();
    let bound = ApiServer::bind(settings, reader, activity, clock).await.unwrap();
    let address = bound.local_addr();
    let stop = CancellationToken::new();
    let served = tokio::spawn(bound.serve(stop.clone()));
    Api { address, stop, served }
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no answer: {:?}", String::from_utf8_lossy(bytes)));
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap()["HTTP/1.1 ".len()..][..3].parse().unwrap();
        let headers = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        Self { status, headers, body: bytes[end + 4..].to_vec() }
    }

    /// The values of all headers of this name.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(header, _)| header == name);
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// The one header of this name.
    pub(super) fn header(&self, name: &str) -> &str {
        match self.all(name)[..] {
            [value] => value,
            ref values => panic!("{name}: {values:?}"),
        }
    }

    /// The body without the marks of chunked transfer.
    pub(super) fn unchunked(&self) -> Vec<u8> {
        assert_eq!(self.header("transfer-encoding"), "chunked");
        let (mut rest, mut body) = (&self.body[..], Vec::new());
        while let Some((chunk, after)) = chunk(rest) {
            body.extend_from_slice(chunk);
            rest = after;
            if chunk.is_empty() {
                return body;
            }
        }
        panic!("the body breaks off after {} bytes", body.len());
    }

    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// A measurement's keys matter one by one.
    pub(super) fn measurements(&self) -> Vec<serde_json::Map<String, serde_json::Value>> {
        assert_eq!(self.status, 200, "{}", self.text());
        serde_json::from_value(self.json()["measurements"].take()).unwrap()
    }
}

/// The first chunk of a body in chunked transfer and what follows it, if it is
/// whole.
pub(super) fn chunk(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let size = std::str::from_utf8(&bytes[..end]).unwrap();
    let size = usize::from_str_radix(size, 16).unwrap();
    let (chunk, rest) = bytes[end + 2..].split_at_checked(size)?;
    Some((chunk, rest.strip_prefix(b"\r\n")?))
}

/// Everything until the server closes.
pub(super) async fn read_all(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(BOUND, stream.read_to_end(&mut bytes)).await;
    // A reset after the answer is an end as well.
    let _ = read.expect("the server neither answers nor closes");
    bytes
}

impl Api {
    pub(super) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends these bytes and reads until the server closes.
    pub(super) async fn send(&self, bytes: &[u8]) -> Answer {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.unwrap();
        Answer::parse(&read_all(&mut stream).await)
    }

    /// A request for a target as it stands, with further header lines.
    pub(super) async fn request(&self, method: &str, target: &str, headers: &[&str]) -> Answer {
        let mut request = format!("{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
        for header in headers {
            request.push_str(header);
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        self.send(request.as_bytes()).await
    }

    pub(super) async fn get(&self, target: &str) -> Answer {
        self.request("GET", target, &[]).await
    }
}

/// Waits until `condition` holds, within the bound.
pub(super) async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let poll = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(BOUND, poll).await.unwrap_or_else(|_| panic!("never: {what}"));
}
