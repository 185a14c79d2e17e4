//! Which rule wins: for one architecture, from all mentions of a call to the rules that can decide it, in their order.

use crate::action::Action;
use crate::arch::Arch;
use crate::error::{Warning, WarningKind};
use crate::rules::{Condition, Entry, Mention, Op, Rules};
use crate::syscalls::{self, MULTIPLEXERS, Multiplexer, PLACES, ROWS, Row};

/// The mentions of each call, whatever the architecture.
pub(crate) struct Mentions<'r> {
    pub(crate) rules: &'r Rules,
    /// The calls that are mentioned, each once.
    pub(crate) rows: Vec<Row>,
    /// The first mention of each row.
    first: [u32; ROWS],
    /// The next mention of the same row.
    next: Vec<u32>,
}

const END: u32 = u32::MAX;
const NONE: u16 = u16::MAX;

impl<'r> Mentions<'r> {
    pub(crate) fn new(rules: &'r Rules) -> Mentions<'r> {
        let mut first = [END; ROWS];
        let mut next = vec![END; rules.mentions.len()];
        let mut rows = Vec::with_capacity(rules.mentions.len());
        for (index, mention) in rules.mentions.iter().enumerate().rev() {
            let head = &mut first[mention.row.index()];
            if *head == END {
                rows.push(mention.row);
            }
            next[index] = *head;
            *head = index as u32;
        }
        Mentions {
            rules,
            rows,
            first,
            next,
        }
    }

    pub(crate) fn entry(&self, mention: u32) -> &'r Entry {
        &self.rules.entries[self.mention(mention).entry as usize]
    }

    pub(crate) fn mention(&self, mention: u32) -> &'r Mention {
        &self.rules.mentions[mention as usize]
    }

    /// The mentions of a row, in the order of the profile.
    fn of(&self, row: Row) -> impl Iterator<Item = u32> + Clone {
        let some = |index: u32| (index != END).then_some(index);
        std::iter::successors(some(self.first[row.index()]), move |index| {
            some(self.next[*index as usize])
        })
    }

    /// Those that can decide anything.
    fn deciding(&self, row: Row) -> impl Iterator<Item = u32> + Clone {
        self.of(row)
            .filter(|mention| !self.entry(*mention).redundant)
    }
}

/// The mentioned calls of an architecture, by number.
pub(crate) struct Calls<'m> {
    mentions: &'m Mentions<'m>,
    arch: Arch,
    /// The row at each place.
    at: [u16; PLACES],
    /// Another row with the same number.
    also: [u16; ROWS],
    newest: Option<u32>,
}

/// What the profile says of a call.
pub(crate) enum Outcome {
    Nothing,
    /// A mention by a rule without conditions.
    Always(u32),
    /// The first of these whose conditions hold.
    Depends(Vec<Candidate>),
}

/// A rule that decides if its conditions hold.
pub(crate) struct Candidate {
    pub(crate) conditions: Vec<Condition>,
    pub(crate) action: Action,
    pub(crate) mention: u32,
}

impl<'m> Calls<'m> {
    pub(crate) fn new(mentions: &'m Mentions<'m>, arch: Arch) -> Calls<'m> {
        let mut calls = Calls {
            mentions,
            arch,
            at: [NONE; PLACES],
            also: [NONE; ROWS],
            newest: None,
        };
        for row in &mentions.rows {
            calls.add(*row);
        }
        for multiplexer in &MULTIPLEXERS {
            let mentioned = |(_, row): &(u32, Row)| mentions.of(*row).next().is_some();
            if calls.mentions.of(multiplexer.row).next().is_none()
                && multiplexer.calls.iter().any(mentioned)
            {
                calls.add(multiplexer.row);
            }
        }
        calls
    }

    fn add(&mut self, row: Row) {
        let Some(nr) = row.number(self.arch) else {
            return;
        };
        let at = &mut self.at[syscalls::place(self.arch, nr)];
        self.also[row.index()] = *at;
        *at = row.index() as u16;
        if self.arch != Arch::Arm || nr < syscalls::ARM_PRIVATE {
            self.newest = self.newest.max(Some(nr));
        }
    }

    /// The highest number mentioned, but for ARM's private ones.
    pub(crate) fn newest(&self) -> Option<u32> {
        self.newest
    }

    /// The places of mentioned calls, ascending.
    pub(crate) fn places(&self) -> impl Iterator<Item = usize> {
        (0..PLACES).filter(|place| self.at[*place] != NONE)
    }

    fn rows(&self, place: usize) -> impl Iterator<Item = Row> {
        let row = |index: u16| (index != NONE).then(|| Row::from_index(index.into()));
        std::iter::successors(row(self.at[place]), move |before| {
            row(self.also[before.index()])
        })
    }

    /// What becomes of the call at a place.
    pub(crate) fn outcome(&self, place: usize, warnings: &mut Vec<Warning>) -> Outcome {
        let mut rows = self.rows(place);
        match (rows.next(), rows.next()) {
            (Some(row), None) => self.decide(place, self.mentions.deciding(row), warnings),
            _ => {
                let rows = self.rows(place);
                let mut direct: Vec<u32> =
                    rows.flat_map(|row| self.mentions.deciding(row)).collect();
                direct.sort_unstable();
                self.decide(place, direct.iter().copied(), warnings)
            }
        }
    }

    fn decide(
        &self,
        place: usize,
        direct: impl Iterator<Item = u32> + Clone,
        warnings: &mut Vec<Warning>,
    ) -> Outcome {
        if let Some(always) = self.unconditional(direct.clone(), warnings) {
            return Outcome::Always(always);
        }
        let mut candidates = Vec::new();
        for mention in direct {
            let entry = self.mentions.entry(mention);
            candidates.extend(entry.alternatives().map(|conditions| Candidate {
                conditions: conditions.to_vec(),
                action: entry.action,
                mention,
            }));
        }
        for row in self.rows(place) {
            if let Some(multiplexer) = MULTIPLEXERS.iter().find(|known| known.row == row) {
                self.multiplexed(multiplexer, &mut candidates, warnings);
            }
        }
        if candidates.is_empty() {
            return Outcome::Nothing;
        }
        Outcome::Depends(candidates)
    }

    /// The first rule without conditions. It overrules all others, wherever they stand, as it does in libseccomp.
    fn unconditional(
        &self,
        mentions: impl Iterator<Item = u32> + Clone,
        warnings: &mut Vec<Warning>,
    ) -> Option<u32> {
        let always = mentions
            .clone()
            .find(|mention| self.mentions.entry(*mention).is_unconditional())?;
        if self.arch == self.mentions.rules.archs[0] {
            let action = self.mentions.entry(always).action;
            let shadowed =
                mentions.filter(|mention| self.mentions.entry(*mention).action != action);
            warnings.extend(shadowed.map(|mention| self.warning(mention, WarningKind::Shadowed)));
        }
        Some(always)
    }

    /// The rules for the calls of a multiplexer. Their arguments lie in memory, so conditions cannot be checked. A rule
    /// stricter than the default then holds for all such calls, and one more lenient for none.
    fn multiplexed(
        &self,
        multiplexer: &Multiplexer,
        candidates: &mut Vec<Candidate>,
        warnings: &mut Vec<Warning>,
    ) {
        for (call, row) in multiplexer.calls {
            let mentions: Vec<u32> = self.mentions.deciding(*row).collect();
            let decides = match self.unconditional(mentions.iter().copied(), warnings) {
                Some(mention) => Some(mention),
                None => self.strictest(&mentions, warnings),
            };
            let condition = Condition {
                arg: 0,
                op: Op::MaskedEq(multiplexer.mask.into()),
                value: (*call).into(),
            };
            candidates.extend(decides.map(|mention| Candidate {
                conditions: vec![condition],
                action: self.mentions.entry(mention).action,
                mention,
            }));
        }
    }

    /// The first of the strictest rules, if it is stricter than the default.
    fn strictest(&self, mentions: &[u32], warnings: &mut Vec<Warning>) -> Option<u32> {
        let severity = |mention: &u32| self.mentions.entry(*mention).action.severity();
        let default = self.mentions.rules.default;
        let strictest = mentions
            .iter()
            .copied()
            .min_by_key(severity)
            .filter(|mention| severity(mention) < default.severity());
        let action = strictest.map_or(default, |mention| self.mentions.entry(mention).action);
        let arch = self.arch;
        let kind = |name| WarningKind::Multiplexed { name, arch, action };
        warnings.extend(mentions.iter().map(|mention| self.warning(*mention, kind)));
        strictest
    }

    fn warning(&self, mention: u32, kind: impl Fn(String) -> WarningKind) -> Warning {
        let mention = self.mentions.mention(mention);
        Warning {
            pointer: mention.pointer(),
            kind: kind(mention.row.name().to_owned()),
        }
    }
}
