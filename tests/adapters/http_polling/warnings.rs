//! What is odd is told once, not in every round.

use std::{
    fmt::{self, Write as _},
    sync::{Arc, Mutex},
};

use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use super::{FakeNode, LOG, delivery, file, lines, many_rounds, polling};

/// Collects the warnings of the adapter.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN && metadata.target().starts_with("isems_adapters")
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[tokio::test]
async fn an_oddity_is_told_once_for_as_long_as_it_lasts() {
    let warnings = Warnings::default();
    let _guard = tracing::subscriber::set_default(warnings.clone());
    let too_long = || file("1", lines(0..20));
    let node = FakeNode::with_log(too_long()).await;
    let mut settings = many_rounds(&node.address.to_string());
    settings.body_limit = 1000;
    let mut source = polling(settings);

    let mut told = Vec::new();
    for answer in [too_long(), too_long(), file("2", lines(0..2)), too_long()] {
        node.answer(LOG, answer);
        delivery(&mut source).await;
        told.push(warnings.count());
    }
    assert_eq!(told, [1, 1, 1, 2]);
    let first = warnings.0.lock().unwrap()[0].clone();
    assert!(first.contains(&node.url(LOG)), "{first}");
    assert!(first.contains("longer than 1000 bytes"), "{first}");
}
