//! Where the lines of a batch are judged: the state of each node, and what the
//! batch itself already holds of it.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use super::{
    Note,
    judged::{Judged, Verdict},
    look_ups::LookUps,
    new_nodes::NewNodes,
    own_clock::Ahead,
    parsed::{LogLine, Message, Parsed},
    shared::{Shared, recognise_by},
    stored::{Found, Rows, Stored},
    telemetry,
    used_runs::{UsedRuns, under},
};
use crate::{
    Basis, ClockRun, Delivery, Identity, KnownTelemetry, Measurement, MeasurementRepo, NodeId,
    NodeState, NodeUpdate, RepoError, Reported, Sample, Timestamp,
    clock_rule::{self, Circumstances, Fate, Next, Place},
    time::DAY,
};

pub(super) struct Desk<'a> {
    repo: &'a dyn MeasurementRepo,
    /// While our own clock is doubted.
    ahead: Option<Ahead>,
    new_nodes: &'a NewNodes,
    look_ups: LookUps,
    /// Nodes that come up with this batch.
    coming_up: BTreeMap<NodeId, Timestamp>,
    files: BTreeMap<NodeId, File>,
}

/// What is known of a node.
#[derive(Default)]
struct File {
    state: NodeState,
    /// Rows of this batch, as far as its later deliveries are judged by them.
    pending: Rows,
    /// This batch holds rows of it.
    is_changed: bool,
    /// The newest telemetry, once a message came again that is not among the
    /// last few.
    earlier: Option<BTreeSet<i64>>,
}

impl<'a> Desk<'a> {
    pub(super) fn new(
        repo: &'a dyn MeasurementRepo,
        ahead: Option<Ahead>,
        new_nodes: &'a NewNodes,
        look_ups: LookUps,
    ) -> Self {
        let (coming_up, files) = (BTreeMap::new(), BTreeMap::new());
        Self { repo, ahead, new_nodes, look_ups, coming_up, files }
    }

    pub(super) async fn judge(
        &mut self,
        delivery: &Delivery,
        parsed: Parsed,
    ) -> Result<Judged, RepoError> {
        self.look_ups.begin_delivery();
        let mut judged = Judged::default();
        for (reason, count) in parsed.rejected_by_reason {
            judged.common.rejected.insert(reason.to_owned(), count);
        }
        for (node, lines) in parsed.logs {
            let mut verdict = Verdict::default();
            self.judge_log(delivery, &node, lines, &mut verdict).await?;
            judged.add(&node, verdict);
        }
        if let Some(message) = parsed.telemetry {
            let mut verdict = Verdict::default();
            self.judge_message(delivery, &message, &mut verdict).await?;
            judged.add(&message.node, verdict);
        }
        Ok(judged)
    }

    /// The new state of each node that this batch holds rows of, and the nodes
    /// that come up with it.
    pub(super) fn into_updates(self) -> (Vec<NodeUpdate>, BTreeMap<NodeId, Timestamp>) {
        let changed = self.files.into_iter().filter(|(_, file)| file.is_changed);
        let update = |(node, file): (NodeId, File)| NodeUpdate {
            node,
            expected: file.state.version,
            runs: file.state.runs,
        };
        (changed.map(update).collect(), self.coming_up)
    }

    /// Whether a line that a source believes stored is so, or was pruned. It is
    /// not if the repository was replaced or the node forgotten meanwhile.
    pub(super) async fn holds(
        &mut self,
        node: &NodeId,
        line: &[LogLine],
    ) -> Result<bool, RepoError> {
        self.look_ups.begin_delivery();
        let state = self.file(node).await?;
        let was_pruned = |run: &ClockRun| {
            line.iter().all(|line| {
                (run.first_reported..=run.last_reported).contains(&line.reported)
                    && state.pruned_until >= Some(line.reported.plus(run.offset))
            })
        };
        let known = self.recognise(node, &state, line, None, Timestamp::default()).await?;
        Ok(known.iter().all(Option::is_some) || state.runs.iter().any(was_pruned))
    }

    /// Whether a node may be stored: it is known, or not too many are new.
    fn is_welcome(&mut self, node: &NodeId, state: &NodeState, arrival: Timestamp) -> bool {
        if state.version == 0 && !self.new_nodes.may_come(node, &self.coming_up) {
            return false;
        }
        if state.version == 0 {
            self.coming_up.insert(node.clone(), arrival);
        }
        true
    }

    async fn judge_message(
        &mut self,
        delivery: &Delivery,
        message: &Message,
        judged: &mut Verdict,
    ) -> Result<(), RepoError> {
        let state = self.file(&message.node).await?;
        if !self.is_welcome(&message.node, &state, delivery.arrival) {
            judged.turn_away(self.new_nodes.limit(), 1, &message.node);
            return Ok(());
        }
        let observed =
            self.ahead.map_or(delivery.arrival, |ahead| ahead.of(delivery.arrival).present);
        let rows = self.stored(&message.node).within(telemetry::covering_range(observed)).await?;
        let was_stored = delivery.redelivered && self.was_stored(message, &state).await?;
        if telemetry::is_duplicate(was_stored, observed, message, &state, &rows) {
            judged.tally.duplicate += 1;
            return Ok(());
        }
        let row = Measurement {
            node: message.node.clone(),
            observed,
            reported: Reported::Fingerprint(message.fingerprint),
            basis: Basis::Estimated,
            received: Some(delivery.arrival),
            sample: message.sample.clone(),
        };
        let file = self.files.entry(message.node.clone()).or_default();
        let known = KnownTelemetry { observed, fingerprint: message.fingerprint };
        file.state.telemetry.insert(0, known);
        file.state.telemetry.truncate(KnownTelemetry::KEPT);
        if let Some(earlier) = &mut file.earlier {
            earlier.insert(message.fingerprint);
        }
        file.is_changed = true;
        file.pending.insert((observed, row.reported), row.sample.clone());
        judged.rows.push(row);
        Ok(())
    }

    /// Whether a message that comes again was stored when it came first.
    async fn was_stored(
        &mut self,
        message: &Message,
        state: &NodeState,
    ) -> Result<bool, RepoError> {
        if state.telemetry.iter().any(|known| known.fingerprint == message.fingerprint) {
            return Ok(true);
        }
        // After an absence more of one node can be on their way than its state
        // remembers.
        let looked_up = self.files.get(&message.node).and_then(|file| file.earlier.as_ref());
        if let Some(earlier) = looked_up {
            return Ok(earlier.contains(&message.fingerprint));
        }
        let earlier = self.stored(&message.node).telemetry().await?;
        let was_stored = earlier.contains(&message.fingerprint);
        self.files.entry(message.node.clone()).or_default().earlier = Some(earlier);
        Ok(was_stored)
    }

    async fn file(&mut self, node: &NodeId) -> Result<NodeState, RepoError> {
        let state = match self.files.entry(node.clone()) {
            Entry::Occupied(file) => file.get().state.clone(),
            Entry::Vacant(place) => {
                let state = self.repo.node_state(node).await?;
                place.insert(File { state, ..File::default() }).state.clone()
            }
        };
        Ok(state)
    }

    fn stored<'b>(&'b self, node: &'b NodeId) -> Stored<'b> {
        Stored { repo: self.repo, node, pending: self.files.get(node).map(|file| &file.pending) }
    }

    async fn judge_log(
        &mut self,
        delivery: &Delivery,
        node: &NodeId,
        lines: Vec<LogLine>,
        judged: &mut Verdict,
    ) -> Result<(), RepoError> {
        if lines.iter().all(|line| line.context) {
            return Ok(());
        }
        let state = self.file(node).await?;
        if !self.is_welcome(node, &state, delivery.arrival) {
            judged.turn_away(self.new_nodes.limit(), lines.len() as u64, node);
            return Ok(());
        }
        let reported: Vec<Timestamp> = lines.iter().map(|line| line.reported).collect();
        let circumstances = Circumstances {
            arrival: delivery.arrival,
            sender_clock: delivery.sender_clock,
            retained: delivery.retained,
            doubted: self.ahead.map(|ahead| ahead.of(delivery.arrival)),
        };
        // From the last stretch to the first, since each is judged by the next.
        let mut fates: Vec<Fate> = vec![Fate::Refused; lines.len()];
        let mut next: Option<Next> = None;
        for stretch in clock_rule::stretches(&reported).into_iter().rev() {
            let times = &reported[stretch.clone()];
            let lines = &lines[stretch.clone()];
            let known = self.recognise(node, &state, lines, next, delivery.arrival).await?;
            let decide =
                |place| clock_rule::decide(times, &known, &state.runs, next, place, &circumstances);
            let mut decided = decide(Place::Free);
            if clock_rule::is_guess(times, &decided, &state.runs, next)
                && self.is_taken(node, lines, &decided, &state.runs).await?
            {
                decided = decide(Place::Taken);
            }
            if let Some((offset, basis)) = under(decided[0], &state.runs) {
                next = Some(Next {
                    first_observed: times[0].plus(offset),
                    basis,
                    interval: clock_rule::median_interval(times),
                });
            }
            fates[stretch].copy_from_slice(&decided);
        }
        self.file_lines(delivery, node, lines, fates, judged);
        Ok(())
    }

    /// Whether other values are stored where new lines would be, as far as that
    /// may be looked up.
    async fn is_taken(
        &mut self,
        node: &NodeId,
        lines: &[LogLine],
        fates: &[Fate],
        runs: &[ClockRun],
    ) -> Result<bool, RepoError> {
        let new: Vec<(Identity, &Sample)> = (lines.iter().zip(fates))
            .filter(|(_, fate)| !matches!(fate, Fate::Known(_)))
            .filter_map(|(line, fate)| Some((line.under(under(*fate, runs)?.0), &line.sample)))
            .collect();
        if !self.look_ups.may_ask(new.len()) {
            return Ok(false);
        }
        Ok(self.stored(node).compare(&new).await?.contains(&Found::Other))
    }

    /// Which lines of a stretch are stored already, and under which run: those
    /// of runs that share at least half of the stretch's lines within their
    /// reported range. The newest runs come first; a line that is known under
    /// one run says nothing against another. Runs beyond what may be looked up
    /// are as good as forgotten: the identity still keeps lines from being stored
    /// twice under one offset, which what is counted from arrival does not get
    /// twice.
    async fn recognise(
        &mut self,
        node: &NodeId,
        state: &NodeState,
        lines: &[LogLine],
        next: Option<Next>,
        arrival: Timestamp,
    ) -> Result<Vec<Option<usize>>, RepoError> {
        let mut known: Vec<Option<usize>> = vec![None; lines.len()];
        let mut shared: Vec<Shared> = Vec::new();
        let last = lines.last().map(|line| line.reported).unwrap_or_default();
        let is_plausible =
            |run: &ClockRun| next.is_none_or(|next| next.may_follow(last.plus(run.offset)));
        let newest_first = || state.runs.iter().enumerate().rev();
        let plausible = newest_first().filter(|(_, run)| is_plausible(run)).map(|run| (run, None));
        // Lines that were read alone lately were put where nothing told that they
        // cannot be, as far as what follows them does now.
        let lately = Some(arrival.plus(-DAY));
        let read_alone = newest_first()
            .filter(|(_, run)| run.basis != Basis::Corrected && !is_plausible(run))
            .map(|run| (run, lately));
        for ((index, run), since) in plausible.chain(read_alone) {
            let in_range =
                |line: &LogLine| (run.first_reported..=run.last_reported).contains(&line.reported);
            let within: Vec<usize> =
                (0..lines.len()).filter(|line| in_range(&lines[*line])).collect();
            if within.iter().all(|line| known[*line].is_some()) {
                continue;
            }
            if !self.look_ups.may_ask(within.len()) {
                break;
            }
            let wanted: Vec<(Identity, &Sample)> = within
                .iter()
                .map(|line| (lines[*line].under(run.offset), &lines[*line].sample))
                .collect();
            let stored = self.stored(node).compare_since(since, &wanted).await?;
            let mut of_run = Shared { run: index, within: Vec::new(), found: Vec::new() };
            for ((line, (identity, _)), found) in within.into_iter().zip(wanted).zip(stored) {
                let is_known = found == Found::Same;
                // Of what was pruned nothing can be said.
                if is_known || state.pruned_until.is_none_or(|until| identity.0 > until) {
                    of_run.within.push(line);
                }
                if is_known {
                    of_run.found.push(line);
                }
            }
            shared.push(of_run);
            recognise_by(&shared, &mut known);
            // An earlier stretch ended before this delivery: what follows its
            // known lines is rather known under an older run.
            if next.is_none() && rest_continues(&known, lines, run) {
                break;
            }
        }
        Ok(known)
    }

    fn file_lines(
        &mut self,
        delivery: &Delivery,
        node: &NodeId,
        lines: Vec<LogLine>,
        fates: Vec<Fate>,
        judged: &mut Verdict,
    ) {
        let more_to_come = self.look_ups.more_to_come();
        let file = self.files.entry(node.clone()).or_default();
        let mut used = UsedRuns::new(self.ahead.is_some());
        for (line, fate) in lines.into_iter().zip(fates) {
            let is_new = !line.context && !matches!(fate, Fate::Known(_));
            let Some((offset, basis)) = under(fate, &file.state.runs) else {
                if is_new {
                    judged.refuse(node, &line);
                }
                continue;
            };
            used.note(fate, line.reported, is_new, &file.state.runs);
            if !is_new {
                judged.tally.duplicate += u64::from(!line.context);
                continue;
            }
            let row = Measurement {
                node: node.clone(),
                observed: line.reported.plus(offset),
                reported: Reported::Time(line.reported),
                basis,
                received: Some(delivery.arrival),
                sample: line.sample,
            };
            file.is_changed = true;
            if more_to_come {
                let identity = (row.observed, row.reported);
                file.pending.entry(identity).or_insert_with(|| row.sample.clone());
            }
            judged.rows.push(row);
        }
        judged.notes.extend(used.begun().map(|run| Note::NodeClockWrong {
            node: node.clone(),
            offset: run.offset,
            basis: run.basis,
        }));
        if used.anything_new {
            file.state.runs = used.after(&file.state.runs);
        }
    }
}

/// Whether the lines that are still unknown can only follow the known ones of
/// this run, so that older runs need not be asked.
fn rest_continues(known: &[Option<usize>], lines: &[LogLine], run: &ClockRun) -> bool {
    let Some(last_known) = known.iter().rposition(Option::is_some) else {
        return false;
    };
    let all_known_before = known[..last_known].iter().all(Option::is_some);
    all_known_before && lines[last_known + 1..].iter().all(|line| line.reported > run.last_reported)
}
