//! What happens to the collector, its broker and its database.

use std::{
    thread,
    time::{Duration, Instant},
};

use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{
    arguments::Plan,
    broker::Broker,
    collector::{Collector, end},
    counters::Counters,
    proof::Database,
    rng::Rng,
};

/// How long `update-data` may take: one round, and the patience with a locked
/// database.
const ROUND_LIMIT: Duration = Duration::from_secs(90);

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Kill,
    Stop,
    KillTwice,
    KillWithoutBroker,
    KillWhileLocked,
    RestartBroker,
    Lock,
    UpdateData,
    KillUpdateData,
    UpdateDataWhileLocked,
}

impl Fault {
    /// One hand of cards; the last few leave the process alone.
    const ALL: [Self; 10] = [
        Self::Kill,
        Self::Stop,
        Self::KillTwice,
        Self::KillWithoutBroker,
        Self::KillWhileLocked,
        Self::RestartBroker,
        Self::Lock,
        Self::UpdateData,
        Self::KillUpdateData,
        Self::UpdateDataWhileLocked,
    ];

    const fn ends_the_collector(self) -> bool {
        matches!(
            self,
            Self::Kill
                | Self::Stop
                | Self::KillTwice
                | Self::KillWithoutBroker
                | Self::KillWhileLocked
        )
    }
}

/// Lets things happen.
pub(crate) struct Driver<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) broker: &'a mut Broker,
    pub(crate) collector: &'a mut Collector,
    pub(crate) database: &'a Database,
    pub(crate) counters: &'a Counters,
    pub(crate) rng: Rng,
}

impl Driver<'_> {
    /// Until the storm is over; `each` is called between two faults.
    pub(crate) fn run(&mut self, mut each: impl FnMut(&Collector)) {
        let begun = Instant::now();
        let mut hand: Vec<Fault> = Vec::new();
        while begun.elapsed() < self.plan.storm {
            let restarts = begun.elapsed().as_millis() * 100
                < self.plan.storm.as_millis() * u128::from(self.plan.restarts_until);
            // Every kind comes up before one comes up again.
            let fault = hand.pop().unwrap_or_else(|| {
                hand = Fault::ALL.to_vec();
                self.rng.shuffle(&mut hand);
                hand.pop().unwrap()
            });
            if fault.ends_the_collector() && !restarts {
                continue;
            }
            self.let_happen(fault);
            let pause = self.rng.duration(self.plan.pause);
            let left = self.plan.storm.saturating_sub(begun.elapsed());
            thread::sleep(pause.min(left));
            if self.collector.has_ended_unasked() {
                self.collector.start();
            }
            each(self.collector);
        }
    }

    fn let_happen(&mut self, fault: Fault) {
        match fault {
            Fault::Kill => self.kill(),
            Fault::Stop => {
                self.counters.count("collector stopped (SIGTERM)");
                self.collector.stop();
                self.outage();
                self.collector.start();
            }
            Fault::KillTwice => {
                self.kill();
                self.kill();
            }
            Fault::KillWithoutBroker => self.without_broker(Self::kill),
            Fault::KillWhileLocked => {
                // Long enough that something comes which cannot be stored, and so
                // must not be acknowledged.
                let wait = self.rng.duration(self.plan.outage) + 2 * self.plan.commit_interval;
                self.locked(wait + self.plan.outage.0, |driver| {
                    thread::sleep(wait);
                    driver.kill();
                });
            }
            Fault::RestartBroker => self.without_broker(Self::outage),
            Fault::Lock => {
                let wait = self.rng.duration(self.plan.outage);
                self.locked(wait, |_| {});
            }
            Fault::UpdateData => self.update_data(None),
            Fault::KillUpdateData => {
                let moment = self.rng.duration((Duration::ZERO, Duration::from_millis(800)));
                self.update_data(Some(moment));
            }
            Fault::UpdateDataWhileLocked => {
                let wait = self.rng.duration(self.plan.outage);
                self.locked(wait, |driver| driver.update_data(None));
            }
        }
    }

    fn outage(&mut self) {
        thread::sleep(self.rng.duration(self.plan.outage));
    }

    fn kill(&mut self) {
        self.counters.count("collector killed (kill -9)");
        self.collector.kill();
        self.outage();
        self.collector.start();
    }

    fn without_broker(&mut self, meanwhile: impl FnOnce(&mut Self)) {
        self.counters.count("broker restarts");
        self.broker.stop();
        meanwhile(self);
        self.broker.run();
    }

    /// Another process holds the database for so long.
    fn locked(&mut self, wait: Duration, meanwhile: impl FnOnce(&mut Self)) {
        let Some(lock) = Lock::take(self.database, wait) else {
            self.counters.count("database locks that were not given");
            return;
        };
        self.counters.count("database locked by another process");
        self.collector.note_lock();
        meanwhile(self);
        self.collector.note_lock();
        lock.wait_for_the_end();
    }

    fn update_data(&mut self, killed_after: Option<Duration>) {
        let mut child = self.collector.beside("update-data");
        if let Some(moment) = killed_after {
            self.counters.count("update-data beside serve, killed");
            thread::sleep(moment);
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
            return;
        }
        self.counters.count("update-data beside serve");
        let status = end(&mut child, ROUND_LIMIT);
        if status.and_then(|status| status.code()) != Some(0) {
            self.counters.find(format!("update-data ended with {status:?}; see update-data.log"));
        }
    }
}

/// A lock on the database that ends by itself.
struct Lock(thread::JoinHandle<()>);

impl Lock {
    /// Waits for its turn, as everybody.
    fn take(database: &Database, wait: Duration) -> Option<Self> {
        let options = SqliteConnectOptions::new()
            .filename(database.path())
            .busy_timeout(Duration::from_secs(10))
            .disable_statement_logging();
        let (taken, is_taken) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let Ok(connection) = hold(&options).await else { return };
                // The one who waits for it is there.
                let _ = taken.send(());
                thread::sleep(wait);
                // Closing ends the transaction.
                let _ = connection.close().await;
            });
        });
        match is_taken.recv() {
            Ok(()) => Some(Self(thread)),
            Err(_) => None,
        }
    }

    fn wait_for_the_end(self) {
        self.0.join().unwrap();
    }
}

async fn hold(options: &SqliteConnectOptions) -> sqlx::Result<SqliteConnection> {
    let mut connection = options.connect().await?;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await?;
    Ok(connection)
}
