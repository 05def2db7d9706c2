//! What comes through, whatever happens to links and nodes.

use super::{
    SourceUnderTest,
    caller::{Caller, Interruption, LINE, NEXT, brings},
};

/// Bytes that a careless reader would change: Windows-1252, CRLF, U+0085, NUL.
const ODD: &[u8] = b"M\xFCnchen;1;2\r\n\xC2\x85;\0;\xFF\n";

pub(super) async fn payloads_are_byte_exact(fresh: &mut dyn SourceUnderTest) {
    fresh.offer(ODD).await;
    let mut caller = Caller::open(fresh).await;
    let delivery = caller.take_news().await;
    assert_eq!(delivery.payload, ODD);
    assert!(delivery.bytes >= ODD.len() as u64);
}

pub(super) async fn a_dead_node_stalls_nobody(fresh: &mut dyn SourceUnderTest) {
    fresh.add_dead_node().await;
    fresh.offer(LINE).await;
    let mut caller = Caller::open(fresh).await;
    caller.take(LINE).await;
}

/// That it is not handed over is checked with every delivery.
pub(super) async fn too_much_from_a_node_is_not_handed_over_and_does_not_end_the_source(
    fresh: &mut dyn SourceUnderTest,
) {
    let mut too_much = vec![b'x'; fresh.max_payload()];
    too_much.push(b'\n');
    fresh.offer_too_much_then(&too_much, LINE).await;
    let mut caller = Caller::open(fresh).await;
    caller.take(LINE).await;
}

pub(super) async fn a_broken_link_is_mended(fresh: &mut dyn SourceUnderTest) {
    fresh.offer(LINE).await;
    let mut caller = Caller::open(fresh).await;
    let first = caller.take(LINE).await;
    caller.confirm(&first).await;
    let mut caller = caller.interrupted(Interruption::BrokenLink).await;
    caller.world.offer(NEXT).await;
    caller.take(NEXT).await;
}

pub(super) async fn a_cancelled_next_loses_nothing(fresh: &mut dyn SourceUnderTest) {
    fresh.offer(LINE).await;
    let mut caller = Caller::open(fresh).await;
    for _ in 0..100 {
        if let Some(delivery) = caller.glance().await {
            if brings(&delivery, LINE) {
                return;
            }
            caller.confirm(&delivery).await;
        }
    }
    caller.take(LINE).await;
}
