//! One run, from the first start to the proof.

use std::{
    panic::{self, AssertUnwindSafe},
    path::Path,
    process::ExitCode,
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::{
    arguments::Plan, broker::Broker, clients::Clients, collector::Collector, counters::Counters,
    faults::Driver, fleet::Fleet, memory::Memory, proof::Database, rng::Rng, summary::Summary,
};

/// How long it may take after the storm until everything is stored.
const CALM_LIMIT: Duration = Duration::from_mins(2);

/// So often a long run says how it goes.
const NEWS_EACH: Duration = Duration::from_mins(1);

/// Runs; says what is wrong and keeps what was written if anything is.
pub(crate) fn run(plan: &Plan) -> ExitCode {
    let folder = tempfile::Builder::new().prefix("isems-soak-").tempdir().unwrap();
    println!(
        "soak: seed {}, {:?} of faults, in {}",
        plan.seed,
        plan.storm,
        folder.path().display()
    );
    let counters = Arc::new(Counters::default());
    let run = panic::catch_unwind(AssertUnwindSafe(|| soak(plan, folder.path(), &counters)));
    if run.is_err() {
        counters.find("the soak itself could not go on; see above".into());
    }
    let findings = counters.findings();
    if findings.is_empty() {
        println!("\nsoak: everything that was accepted is there once, and nothing else");
        return ExitCode::SUCCESS;
    }
    println!("\nsoak: FAILED with seed {}:", plan.seed);
    for finding in findings.iter().take(30) {
        println!("  {finding}");
    }
    println!("database and logs are kept in {}", folder.keep().display());
    ExitCode::FAILURE
}

fn soak(plan: &Plan, folder: &Path, counters: &Arc<Counters>) {
    let begun = Instant::now();
    let mut broker = Broker::start(folder);
    let mut fleet = Fleet::new(plan.seed, broker.address(), counters);
    let nodes = fleet.size();
    let database = Database::at(folder.join("isems.db"));
    let mut collector =
        Collector::new(folder, variables(plan, &database, &broker, &fleet), counters);
    collector.start();
    broker.wait_for_subscription();

    fleet.begin();
    let clients = Clients::begin(plan.seed, &collector.presence, counters);
    let memory = Memory::watch(&collector.presence);
    let mut driver = Driver {
        plan,
        broker: &mut broker,
        collector: &mut collector,
        database: &database,
        counters,
        rng: Rng::new(plan.seed, "faults"),
    };
    let mut told = Instant::now();
    driver.run(|collector| {
        if told.elapsed() >= NEWS_EACH {
            told = Instant::now();
            let seconds = begun.elapsed().as_secs();
            println!("{seconds} s: {} starts, {:?}", collector.starts(), counters.counts());
        }
    });

    if !collector.is_running() {
        collector.start();
    }
    fleet.end(counters);
    // What was torn last must be read again though nothing is new.
    thread::sleep(Duration::from_secs(3 * plan.poll_interval));
    fleet.weather.storm.store(false, Ordering::Relaxed);
    let books = fleet.ledger.books();
    let deadline = Instant::now() + CALM_LIMIT;
    while database.missing(&books) > 0 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(500));
    }
    // What comes again must be known: two more rounds, and a commit.
    thread::sleep(Duration::from_secs(2 * plan.poll_interval));
    let worst = clients.end(counters);
    let memory = memory.end(counters);
    collector.stop();
    let outcome = database.prove(&books, counters);
    Summary {
        plan,
        took: begun.elapsed(),
        nodes,
        collector: &collector,
        counters,
        memory: &memory,
        worst,
        outcome: &outcome,
    }
    .print();
}

/// The environment of the collector.
fn variables(
    plan: &Plan,
    database: &Database,
    broker: &Broker,
    fleet: &Fleet,
) -> Vec<(&'static str, String)> {
    vec![
        ("DATABASE_URL", format!("sqlite:///{}", database.path().display())),
        ("ISEMS_LISTEN", "127.0.0.1:0".into()),
        ("ISEMS_ROUTER_IPS", fleet.addresses()),
        ("ISEMS_POLL_INTERVAL", format!("{}s", plan.poll_interval)),
        ("ISEMS_POLL_TIMEOUT", format!("{}s", plan.poll_timeout)),
        ("ISEMS_COMMIT_INTERVAL", format!("{}ms", plan.commit_interval.as_millis())),
        ("MQTT_SERVER", broker.address().to_string()),
        ("ISEMS_LOG", "info".into()),
    ]
}
