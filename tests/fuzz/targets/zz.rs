use std::sync::Arc;
use isems_core::*;
fn main() {
    pollster::block_on(async {
        let story = std::fs::read(std::env::args().nth(1).unwrap()).unwrap();
        let repo = Arc::new(MemoryRepo::default());
        let mut c = Collector::new(repo.clone(), Timestamp::from_unix(1_700_000_000));
        for d in isems_fuzz::script::deliveries(&story) {
            for i in 0..2 {
                println!("--- arrival {} date {:?}\n{}", d.arrival, d.sender_clock, if i==0 {String::from_utf8_lossy(&d.payload)} else {"again".into()});
                let mut d = d.clone(); d.redelivered = i == 1;
                let r = c.ingest(&[d.clone()], d.arrival).await.unwrap();
                println!("{:?} {:?}", r[0].tally, r[0].notes);
                for n in repo.latest(None).await.unwrap() {
                    let node = n.measurement.node;
                    for r in repo.history(&node, HistoryRange::ALL, 999).await.unwrap() { println!("{node} {} {:?} {:?} {:?}", r.measurement.observed, r.measurement.reported, r.measurement.basis, r.measurement.sample.battery_voltage); }
                    println!("{:?}", repo.node_state(&node).await.unwrap().runs);
                }
            }
        }
    });
}
