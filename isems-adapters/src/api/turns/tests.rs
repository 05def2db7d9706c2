use std::{
    cell::Cell,
    io::Write as _,
    sync::atomic::{AtomicUsize, Ordering},
};

use tokio::time::sleep;

use super::*;

/// Room for four bytes of histories, and as many turns as wanted.
fn turns() -> Turns {
    let answer_bytes = 5; // A quarter, rounded down, is for what is present.
    Turns::new(&ApiLimits { answer_bytes, ..ApiLimits::default() })
}

#[tokio::test]
async fn what_hangs_takes_few_threads_though_nobody_waits_for_it_any_more() {
    // Given files that hang, more than may be read at once, for which nobody
    // waits any more
    let turns = turns();
    let (begun, (end, ends)) = (Arc::new(AtomicUsize::new(0)), std::sync::mpsc::channel::<()>());
    let ends = Arc::new(std::sync::Mutex::new(ends));
    for _ in 0..2 * BLOCKING {
        let (begun, ends) = (Arc::clone(&begun), Arc::clone(&ends));
        let hangs = turns.blocking(move || {
            begun.fetch_add(1, Ordering::SeqCst);
            let _ = ends.lock().unwrap().recv();
        });
        assert!(timeout(Duration::from_millis(20), hangs).await.is_err());
    }
    // Then they have as many threads as there may be, and no more
    while begun.load(Ordering::SeqCst) < BLOCKING {
        sleep(Duration::from_millis(1)).await;
    }
    sleep(Duration::from_millis(50)).await;
    assert_eq!(begun.load(Ordering::SeqCst), BLOCKING);
    // When they end, files can be read again
    drop(end);
    assert_eq!(turns.blocking(|| 7).await, Ok(7));
}

#[tokio::test(start_paused = true)]
async fn what_turns_out_larger_than_the_room_that_is_free_is_made_anew_once_there_is_more() {
    // Given two answers, each larger than usual and together than the room
    let (turns, made) = (turns(), Cell::new(0));
    let both_have_room = tokio::sync::Barrier::new(2);
    let client = Arc::default();
    let answer = || async {
        made.set(made.get() + 1);
        if made.get() <= 2 {
            both_have_room.wait().await;
        }
        Ok::<_, Problem>((vec![0; 3], ()))
    };
    let takes_a_second = || async {
        let made = turns.make(Kind::Past, Phase::New, 1, &client, answer).await;
        sleep(Duration::from_secs(1)).await;
        made.map(|(bytes, ())| bytes.len())
    };

    // When both are asked for at once
    let lengths = tokio::join!(takes_a_second(), takes_a_second());

    // Then one of them has its room at once, and the other after it
    assert_eq!((lengths, made.get()), ((Ok(3), Ok(3)), 3));
}

#[tokio::test(start_paused = true)]
async fn what_is_more_than_the_room_that_is_free_is_counted_and_written_once_there_is_more() {
    // Given an answer that has half of the room for a minute
    let answer_bytes = 4 * 300_000;
    let turns = Turns::new(&ApiLimits {
        answer_bytes,
        request_time: Duration::from_hours(1),
        ..ApiLimits::default()
    });
    let client = Arc::default();
    let half = || async { Ok::<_, Problem>((vec![0; 150_000], ())) };
    let half = turns.make(Kind::Present, Phase::New, 1, &client, half).await.unwrap();

    // When something is written that takes more than is left
    let kept = Cell::new(Vec::new());
    let write = |mut draft: Draft| {
        for piece in 0..200_u8 {
            draft.write_all(&[piece; 1_000]).unwrap();
        }
        kept.set([kept.take(), vec![draft.kept()]].concat());
        async { Ok::<_, Problem>(draft) }
    };
    let written = turns.write(Kind::Present, Phase::New, 1, &client, write);
    let gone = async {
        sleep(Duration::from_mins(1)).await;
        drop(half);
    };
    let begin = tokio::time::Instant::now();
    let (written, ()) = tokio::join!(written, gone);

    // Then no more is kept of it than there is room for, and it comes whole
    let expected: Vec<u8> = (0..200).flat_map(|piece| [piece; 1_000]).collect();
    assert!(written.unwrap() == expected);
    assert_eq!((kept.take(), begin.elapsed().as_secs()), (vec![0, 200_000], 60));
}
