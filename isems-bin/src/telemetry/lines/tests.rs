//! Readers that read, slowly, not at all, and again.

use std::{
    io::{BufRead as _, BufReader, ErrorKind, PipeReader, PipeWriter, pipe},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
};

use super::*;

/// How long something may take that a busy machine does at once.
const SOON: Duration = Duration::from_secs(20);

const A_WHILE: Duration = Duration::from_millis(200);

fn about_lost(lines: u64) -> Vec<u8> {
    format!("{lines} lost\n").into_bytes()
}

/// Lines that are written to `out`, as long as the tests run.
fn written_to(out: impl Write + Send + 'static) -> &'static Lines {
    let lines = Box::leak(Box::new(Lines::new()));
    lines.start(out, about_lost);
    lines
}

/// Lines that are written to a pipe.
fn piped() -> (&'static Lines, PipeReader) {
    let (reader, writer): (PipeReader, PipeWriter) = pipe().unwrap();
    (written_to(writer), reader)
}

/// The lines that come, each read when it is asked for.
fn read(from: PipeReader) -> impl Iterator<Item = String> {
    let (hand_over, come) = mpsc::sync_channel(0);
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map(Result::unwrap) {
            // Until the test has seen enough.
            let Ok(()) = hand_over.send(line) else { return };
        }
    });
    std::iter::from_fn(move || Some(come.recv_timeout(SOON).expect("a line comes")))
}

/// A line of some length with a number.
fn line(number: usize) -> Vec<u8> {
    format!("{number} {}\n", "x".repeat(200)).into_bytes()
}

/// The first word of a line.
fn first(line: &str) -> &str {
    line.split(' ').next().unwrap()
}

#[test]
fn lines_come_whole_and_in_order() {
    let (lines, reader) = piped();
    let reading = thread::spawn(move || read(reader).take(4_000).collect::<Vec<_>>());
    for number in 0..4_000 {
        lines.push(line(number));
        // A reader that reads loses nothing.
        if number % 1_000 == 0 {
            lines.drain(SOON, || false);
        }
    }
    lines.drain(SOON, || false);
    for (number, read) in reading.join().unwrap().iter().enumerate() {
        assert_eq!(read.as_bytes(), line(number).trim_ascii_end());
    }
}

#[test]
fn who_brings_lines_never_waits_for_a_reader_that_reads_nothing_and_memory_is_bounded() {
    let (lines, _reader) = piped();
    let begun = Instant::now();
    for number in 0..50_000 {
        lines.push(line(number));
    }
    assert!(begun.elapsed() < SOON);
    let queue = lines.lock();
    assert!(queue.bytes <= MOST, "{}", queue.bytes);
    let held: usize = queue.waiting.iter().map(Vec::len).sum();
    assert!(held <= MOST && queue.lost > 40_000, "{held}, {}", queue.lost);
}

#[test]
fn what_was_lost_is_told_once_in_its_place_and_nothing_else_is_missing() {
    let (lines, reader) = piped();
    for number in 0..20_000 {
        lines.push(line(number));
    }
    // When somebody reads again, and more comes
    let mut read = read(reader);
    let mut before = Vec::new();
    let told = loop {
        let line = read.next().unwrap();
        if line.ends_with(" lost") {
            break line;
        }
        before.push(first(&line).parse::<usize>().unwrap());
    };
    lines.push(b"after\n".to_vec());

    assert!(before.iter().copied().eq(0..before.len()), "in order, without a gap");
    assert_eq!(first(&told).parse::<usize>().unwrap(), 20_000 - before.len());
    assert_eq!(read.next().unwrap(), "after");
}

#[test]
fn a_gap_is_told_before_what_comes_after_it_while_others_still_wait() {
    let (lines, reader) = piped();
    for number in 0..20_000 {
        lines.push(line(number));
    }
    // When somebody reads some
    let mut read = read(reader);
    while lines.lock().bytes > MOST / 3 {
        read.next();
    }
    lines.push(b"after\n".to_vec());

    let end: Vec<String> = read.skip_while(|line| !line.ends_with(" lost")).take(2).collect();
    assert_eq!(end[1], "after", "{end:?}");
}

#[test]
fn a_line_longer_than_all_that_may_wait_is_lost_and_told() {
    let (lines, reader) = piped();
    lines.push(vec![b'x'; MOST]);
    lines.push(b"after\n".to_vec());
    let read: Vec<String> = read(reader).take(2).collect();
    assert_eq!(read, ["1 lost", "after"]);
}

#[test]
fn the_end_waits_for_a_reader_that_reads_slowly() {
    /// Takes a line in each 20 ms, which is longer than the end waits in all.
    struct Slow(mpsc::Sender<Vec<u8>>);
    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            thread::sleep(Duration::from_millis(20));
            self.0.send(bytes.to_vec()).unwrap();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (taken, come) = mpsc::channel();
    let lines = written_to(Slow(taken));
    for number in 0..50 {
        lines.push(line(number));
    }
    lines.drain(Duration::from_millis(500), || false);
    assert_eq!(come.try_iter().count(), 50);
}

#[test]
fn the_end_gives_up_a_reader_that_reads_nothing() {
    let (lines, _reader) = piped();
    for number in 0..1_000 {
        lines.push(line(number));
    }
    let begun = Instant::now();
    lines.drain(A_WHILE, || false);
    assert!((A_WHILE..SOON).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    assert!(lines.is_stuck());
}

#[test]
fn an_urgent_end_is_not_put_off_by_a_reader_that_reads_a_little() {
    static OVER: AtomicBool = AtomicBool::new(false);
    /// Takes a line now and then.
    struct Little;
    impl Write for Little {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            thread::sleep(A_WHILE / 4);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let lines = written_to(Little);
    for number in 0..400 {
        lines.push(line(number));
    }
    let hurry = thread::spawn(|| {
        thread::sleep(A_WHILE * 2);
        OVER.store(true, Ordering::Relaxed);
    });
    // All of it would take as long as SOON.
    let begun = Instant::now();
    lines.drain(A_WHILE, || OVER.load(Ordering::Relaxed));
    hurry.join().unwrap();
    assert!((A_WHILE * 2..SOON / 2).contains(&begun.elapsed()), "{:?}", begun.elapsed());
}

#[test]
fn a_reader_that_is_gone_or_may_not_be_waited_for_costs_no_line_of_others() {
    /// Not now, then a byte at a time; and one line it refuses.
    struct Awkward(mpsc::Sender<u8>, usize);
    impl Write for Awkward {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1 += 1;
            if bytes[0] == b'!' {
                return Err(ErrorKind::BrokenPipe.into());
            }
            if self.1 % 2 == 1 {
                return Err(ErrorKind::WouldBlock.into());
            }
            self.0.send(bytes[0]).unwrap();
            Ok(1)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (taken, come) = mpsc::channel();
    let lines = written_to(Awkward(taken, 0));
    for line in ["one\n", "!lost\n", "two\n"] {
        lines.push(line.into());
    }
    lines.drain(SOON, || false);
    assert_eq!(come.try_iter().collect::<Vec<u8>>(), b"one\ntwo\n");
}
