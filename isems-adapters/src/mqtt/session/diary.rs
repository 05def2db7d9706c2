//! What the log says of the connection, and what to learn from its endings.

use std::time::Duration;

use isems_core::{SourceError, SourceId};
use tokio::time::Instant;

use crate::mqtt::{
    MqttSettings, Protocol, TopicFilter,
    ending::{Ending, EndingKind},
};

/// So often the log repeats that the broker is still away.
const REMINDER: Duration = Duration::from_mins(15);
/// Two clients with one id throw each other out within the longest pause.
const THROWN_OUT_WITHIN: Duration = Duration::from_mins(2);
/// So often in a row is no chance: brokers are restarted, and so are those who
/// stand between.
const THROWN_OUT_TIMES: u32 = 3;
/// Endings by a message that cannot be taken, before the session is given up.
const PATIENCE: u32 = 3;

/// Says each change once.
pub(super) struct Diary {
    source: SourceId,
    client_id: String,
    protocol: Protocol,
    topics: String,
    connected_at: Option<Instant>,
    episode: Option<Episode>,
    /// Links in a row that a message too large ended.
    undigestible: u32,
    /// Links in a row that the broker closed soon, without a word, and going on
    /// itself.
    thrown_out: u32,
    told_of_rival: bool,
}

/// The time from the first failure to the next working subscription.
struct Episode {
    since: Instant,
    said: Instant,
    kind: EndingKind,
    attempts: u32,
}

/// What follows from an ending.
#[derive(Debug)]
pub(super) struct Lost {
    /// For the collector, once per episode and kind of ending.
    pub(super) trouble: Option<SourceError>,
    /// How long the link held, if it came about.
    pub(super) held: Option<Duration>,
    pub(super) advice: Advice,
}

/// What to do before the next connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Advice {
    TryAgain,
    /// Nothing but a clean session gets past the message that waits.
    DropSession,
}

impl Diary {
    pub(super) fn new(source: SourceId, settings: &MqttSettings) -> Self {
        let topics: Vec<&str> = settings.topics.iter().map(TopicFilter::as_str).collect();
        Self {
            source,
            client_id: settings.client_id.clone(),
            protocol: settings.protocol,
            topics: topics.join(", "),
            connected_at: None,
            episode: None,
            undigestible: 0,
            thrown_out: 0,
            told_of_rival: false,
        }
    }

    /// The broker accepted us.
    pub(super) fn connected(&mut self, resumed: bool, now: Instant) {
        self.connected_at = Some(now);
        let session = if resumed { "resumed" } else { "new" };
        tracing::info!(
            broker = %self.source,
            client_id = self.client_id,
            protocol = %self.protocol,
            session,
            topics = self.topics,
            "connected to MQTT broker {} ({session} session)",
            self.source,
        );
    }

    /// The subscription stands: whatever was wrong is over.
    pub(super) fn subscribed(&mut self) {
        self.episode = None;
    }

    /// Whether a link that ends `now` ends as if the broker had thrown us out:
    /// soon and without a word. A broker that is stopped or killed does the same.
    pub(super) fn was_thrown_out(&self, kind: EndingKind, now: Instant) -> bool {
        kind == EndingKind::ClosedByPeer
            && self.connected_at.is_some_and(|since| now - since < THROWN_OUT_WITHIN)
    }

    /// A link ended, or did not come about. `goes_on`: the broker does without
    /// us, asked only if we were [thrown out](Self::was_thrown_out).
    pub(super) fn lost(&mut self, ending: Ending, goes_on: bool, now: Instant) -> Lost {
        // The library swallows the reason that some brokers give, and 3.1.1 has
        // none; that each link is closed soon after it stood tells as much.
        self.thrown_out =
            if goes_on && self.was_thrown_out(ending.kind, now) { self.thrown_out + 1 } else { 0 };
        let held = self.connected_at.take().map(|since| now - since);
        self.look_for_rival(ending.kind, held);
        let advice = self.judge_undigestible(&ending, held.is_some());
        Lost { trouble: self.note(ending, now), held, advice }
    }

    fn look_for_rival(&mut self, kind: EndingKind, held: Option<Duration>) {
        if held.is_some_and(|held| held >= THROWN_OUT_WITHIN) {
            self.told_of_rival = false;
        }
        let certain = kind == EndingKind::TakenOver;
        if (certain || self.thrown_out >= THROWN_OUT_TIMES) && !self.told_of_rival {
            self.told_of_rival = true;
            let doubt = if certain { "" } else { "it seems that " };
            tracing::warn!(
                broker = %self.source,
                client_id = self.client_id,
                "{doubt}another collector with the client id {} is connected to MQTT broker {} \
                 and the two throw each other out; give each its own MQTT_CLIENT_ID",
                self.client_id,
                self.source,
            );
        }
    }

    fn judge_undigestible(&mut self, ending: &Ending, was_connected: bool) -> Advice {
        if ending.kind == EndingKind::Undigestible {
            self.undigestible += 1;
        } else if was_connected {
            self.undigestible = 0;
        }
        if self.undigestible < PATIENCE {
            return Advice::TryAgain;
        }
        self.undigestible = 0;
        tracing::warn!(
            broker = %self.source,
            client_id = self.client_id,
            "{} and ended {PATIENCE} connections to MQTT broker {}: the session is dropped, \
             and with it all that the broker holds for this client",
            ending.what,
            self.source,
        );
        Advice::DropSession
    }

    fn note(&mut self, ending: Ending, now: Instant) -> Option<SourceError> {
        let source = self.source.clone();
        let kind = ending.kind;
        let (since, attempts) = match &mut self.episode {
            Some(episode) if episode.kind == kind => {
                episode.attempts += 1;
                if now - episode.said >= REMINDER {
                    episode.said = now;
                    let minutes = (now - episode.since).as_secs() / 60;
                    tracing::warn!(
                        broker = %source,
                        attempts = episode.attempts,
                        "MQTT broker {source} cannot be used for {minutes} min: {}; \
                         still trying",
                        ending.into_error(source.clone()).describe(),
                    );
                }
                return None;
            }
            Some(episode) => (episode.since, episode.attempts + 1),
            None => (now, 1),
        };
        self.episode = Some(Episode { since, said: now, kind, attempts });
        let trouble = ending.into_error(source.clone());
        tracing::warn!(
            broker = %source,
            attempts,
            "MQTT broker {source} cannot be used: {}; trying again",
            trouble.describe(),
        );
        Some(trouble)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::parse_filters;

    const SECOND: Duration = Duration::from_secs(1);

    fn diary() -> Diary {
        let topics = parse_filters("/isems/#").expect("valid");
        let settings = MqttSettings::new("broker".parse().expect("valid"), topics);
        Diary::new(settings.broker.source_id(), &settings)
    }

    fn ending(kind: EndingKind) -> Ending {
        Ending::new(kind, "something")
    }

    /// A link that stands for a second before it ends; the broker goes on.
    fn short_link(diary: &mut Diary, kind: EndingKind) -> Lost {
        link(diary, kind, SECOND, true)
    }

    fn link(diary: &mut Diary, kind: EndingKind, held: Duration, goes_on: bool) -> Lost {
        let now = Instant::now();
        diary.connected(true, now);
        diary.subscribed();
        diary.lost(ending(kind), goes_on, now + held)
    }

    /// No link comes about.
    fn no_link(diary: &mut Diary, kind: EndingKind) -> Lost {
        diary.lost(ending(kind), false, Instant::now())
    }

    #[test]
    fn trouble_is_told_once_per_episode_and_kind() {
        use EndingKind::{Refused, Unreachable};
        let mut diary = diary();
        let told: Vec<bool> = [Unreachable, Unreachable, Refused, Refused]
            .map(|kind| no_link(&mut diary, kind).trouble.is_some())
            .into();
        assert_eq!(told, [true, false, true, false]);
    }

    #[test]
    fn a_working_subscription_ends_the_episode() {
        let mut diary = diary();
        no_link(&mut diary, EndingKind::Lost);
        assert!(short_link(&mut diary, EndingKind::Lost).trouble.is_some());
    }

    #[test]
    fn an_accepted_connection_without_subscription_does_not_end_the_episode() {
        let mut diary = diary();
        no_link(&mut diary, EndingKind::Refused);
        diary.connected(true, Instant::now());
        let lost = no_link(&mut diary, EndingKind::Refused);
        assert!(lost.trouble.is_none());
    }

    #[test]
    fn the_third_link_in_a_row_that_one_message_ends_costs_the_session() {
        use EndingKind::{Lost, Undigestible, Unreachable};
        for (kinds, expected) in [
            (&[Undigestible, Undigestible][..], Advice::TryAgain),
            (&[Undigestible, Undigestible, Undigestible], Advice::DropSession),
            (&[Undigestible, Undigestible, Lost, Undigestible], Advice::TryAgain),
            (&[Undigestible, Undigestible, Unreachable, Undigestible], Advice::DropSession),
        ] {
            let mut diary = diary();
            let mut advice = Advice::TryAgain;
            for kind in kinds {
                advice = match kind {
                    Unreachable => no_link(&mut diary, *kind).advice,
                    _ => short_link(&mut diary, *kind).advice,
                };
            }
            assert_eq!(advice, expected, "{kinds:?}");
        }
    }

    #[test]
    fn a_rival_is_told_of_if_the_broker_says_so_or_throws_us_out_again_and_again() {
        use EndingKind::{ClosedByPeer, Lost, TakenOver, Unreachable};
        for (kinds, expected) in [
            (&[TakenOver][..], true),
            (&[ClosedByPeer, ClosedByPeer], false),
            (&[ClosedByPeer, ClosedByPeer, ClosedByPeer], true),
            (&[ClosedByPeer, ClosedByPeer, Lost, ClosedByPeer], false),
            (&[ClosedByPeer, ClosedByPeer, Unreachable, ClosedByPeer], false),
        ] {
            let mut diary = diary();
            for kind in kinds {
                match kind {
                    Unreachable => no_link(&mut diary, *kind),
                    _ => short_link(&mut diary, *kind),
                };
            }
            assert_eq!(diary.told_of_rival, expected, "{kinds:?}");
        }
    }

    #[test]
    fn a_broker_that_is_gone_itself_or_closes_late_has_no_rival_of_ours() {
        for (held, goes_on) in [(SECOND, false), (THROWN_OUT_WITHIN, true)] {
            let mut diary = diary();
            for _ in 0..THROWN_OUT_TIMES * 2 {
                link(&mut diary, EndingKind::ClosedByPeer, held, goes_on);
            }
            assert!(!diary.told_of_rival, "{held:?} {goes_on}");
        }
    }
}
