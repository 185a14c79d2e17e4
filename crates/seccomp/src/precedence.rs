//! Which rule wins: for one architecture, from all mentions of a call to the rules that can decide it, in their order.

use std::ops::Range;

use crate::action::Action;
use crate::arch::Arch;
use crate::error::{Warning, WarningKind};
use crate::rules::{Condition, Entry, Mention, Op, Rules};
use crate::syscalls::{MULTIPLEXERS, Multiplexer, PLACES, PRIVATE_PLACE, Places, ROWS, Row};

/// The mentions of each call, whatever the architecture.
pub(crate) struct Mentions<'r> {
    pub(crate) rules: &'r Rules,
    /// The calls that are mentioned, each once.
    pub(crate) rows: Vec<Row>,
    /// What the rules for each call by its own name come to.
    said: Vec<Said>,
    /// What a filter returns for those on which they always come to the same.
    always: Vec<Option<u32>>,
    /// The first mention of each row.
    first: Vec<u32>,
    /// The next mention of the same row.
    next: Vec<u32>,
}

/// What rules come to.
#[derive(Clone, Copy)]
enum Said {
    /// None can decide anything.
    Nothing,
    /// The action of the first one without conditions. It overrules all others, wherever they stand, as it does in
    /// libseccomp.
    Always(u32, Action),
    /// All have conditions.
    Depends,
}

const END: u32 = u32::MAX;
const NONE: u16 = u16::MAX;

impl<'r> Mentions<'r> {
    pub(crate) fn new(rules: &'r Rules, warnings: &mut Vec<Warning>) -> Mentions<'r> {
        let mut mentions = Mentions {
            rules,
            rows: Vec::with_capacity(rules.mentions.len()),
            said: vec![Said::Nothing; ROWS],
            always: vec![None; ROWS],
            first: vec![END; ROWS],
            next: vec![END; rules.mentions.len()],
        };
        for (index, mention) in rules.mentions.iter().enumerate().rev() {
            let head = &mut mentions.first[mention.row.index()];
            if *head == END {
                mentions.rows.push(mention.row);
            }
            mentions.next[index] = *head;
            *head = index as u32;
        }
        for row in &mentions.rows {
            let said = mentions.say(mentions.deciding(*row));
            mentions.said[row.index()] = said;
            if let Said::Always(_, action) = said {
                mentions.always[row.index()] = Some(action.to_return());
            }
        }
        mentions.shadowed(warnings);
        mentions
    }

    fn say(&self, mut mentions: impl Iterator<Item = u32>) -> Said {
        let mut said = Said::Nothing;
        let always = mentions.find(|mention| {
            said = Said::Depends;
            self.entry(*mention).is_unconditional()
        });
        match always {
            Some(always) => Said::Always(always, self.entry(always).action),
            None => said,
        }
    }

    /// Warns of rules for a call that another one without conditions overrules.
    fn shadowed(&self, warnings: &mut Vec<Warning>) {
        for row in &self.rows {
            let more = self.next[self.first[row.index()] as usize] != END;
            if more && let Said::Always(_, action) = self.said[row.index()] {
                let overruled = |mention: &u32| self.entry(*mention).action != action;
                let overruled = self.deciding(*row).filter(overruled);
                let warning = |mention| self.warning(mention, WarningKind::Shadowed);
                warnings.extend(overruled.map(warning));
            }
        }
    }

    pub(crate) fn entry(&self, mention: u32) -> &'r Entry {
        &self.rules.entries[self.mention(mention).entry as usize]
    }

    pub(crate) fn mention(&self, mention: u32) -> &'r Mention {
        &self.rules.mentions[mention as usize]
    }

    /// The mentions of a row, in the order of the profile.
    fn of(&self, row: Row) -> impl Iterator<Item = u32> {
        let some = |index: u32| (index != END).then_some(index);
        std::iter::successors(some(self.first[row.index()]), move |index| {
            some(self.next[*index as usize])
        })
    }

    fn is_mentioned(&self, row: Row) -> bool {
        self.first[row.index()] != END
    }

    /// Those that can decide anything.
    fn deciding(&self, row: Row) -> impl Iterator<Item = u32> {
        self.of(row)
            .filter(|mention| !self.entry(*mention).redundant)
    }

    fn warning(&self, mention: u32, kind: impl Fn(String) -> WarningKind) -> Warning {
        let mention = self.mention(mention);
        Warning {
            pointer: mention.pointer(),
            kind: kind(mention.row.name().to_owned()),
        }
    }
}

/// The mentioned calls of an architecture, by number.
pub(crate) struct Calls<'m> {
    mentions: &'m Mentions<'m>,
    arch: Arch,
    places: Places,
    /// The row at each place.
    at: [u16; PLACES],
    /// Another row with the same number.
    also: [u16; ROWS],
    /// How many places there are up to the highest number mentioned.
    ordinary: usize,
}

/// What the profile says of a call.
pub(crate) enum Outcome {
    Nothing,
    /// The action of a mention by a rule without conditions.
    Always(u32, Action),
    /// The first of these whose conditions hold.
    Depends(Candidates),
}

/// Rules that decide if their conditions hold, the first first.
#[derive(Default)]
pub(crate) struct Candidates {
    pub(crate) decision: Decision,
    /// Where each rule stands.
    pub(crate) mentions: Vec<u32>,
}

/// What happens to a call, by its arguments: the action of the first rule all of whose conditions hold, or else the
/// default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Decision {
    /// Whether arguments are compared as 64 bits.
    pub(crate) wide: bool,
    /// Of all rules, one after the other.
    conditions: Vec<Condition>,
    /// Each with the end of its conditions.
    rules: Vec<(usize, Action)>,
}

impl Decision {
    pub(crate) fn push(&mut self, conditions: &[Condition], action: Action) {
        self.conditions.extend_from_slice(conditions);
        self.rules.push((self.conditions.len(), action));
    }

    /// The rules with their conditions, the first first.
    pub(crate) fn rules(&self) -> impl DoubleEndedIterator<Item = (&[Condition], Action)> {
        let begin = |index: usize| {
            index
                .checked_sub(1)
                .map_or(0, |before| self.rules[before].0)
        };
        let rules = self.rules.iter().enumerate();
        rules.map(move |(index, (end, action))| (&self.conditions[begin(index)..*end], *action))
    }

    pub(crate) fn conditions(&self) -> usize {
        self.conditions.len()
    }
}

impl Candidates {
    fn push(&mut self, conditions: &[Condition], action: Action, mention: u32) {
        self.decision.push(conditions, action);
        self.mentions.push(mention);
    }
}

impl<'m> Calls<'m> {
    pub(crate) fn new(mentions: &'m Mentions<'m>, arch: Arch) -> Calls<'m> {
        let mut calls = Calls {
            mentions,
            arch,
            places: Places::new(arch),
            at: [NONE; PLACES],
            also: [NONE; ROWS],
            ordinary: 0,
        };
        for row in &mentions.rows {
            calls.add(*row);
        }
        for multiplexer in &MULTIPLEXERS {
            let mentioned = |(_, row): &(u32, Row)| mentions.is_mentioned(*row);
            if !mentioned(&(0, multiplexer.row)) && multiplexer.calls.iter().any(mentioned) {
                calls.add(multiplexer.row);
            }
        }
        calls
    }

    fn add(&mut self, row: Row) {
        if let Some(place) = self.places.of(row) {
            self.also[row.index()] = self.at[place];
            self.at[place] = row.index() as u16;
            if place < PRIVATE_PLACE {
                self.ordinary = self.ordinary.max(place + 1);
            }
        }
    }

    /// The highest number mentioned, but for ARM's private ones.
    pub(crate) fn newest(&self) -> Option<u32> {
        self.ordinary.checked_sub(1).map(|place| self.number(place))
    }

    /// The places up to the highest number mentioned.
    pub(crate) fn ordinary(&self) -> Range<usize> {
        0..self.ordinary
    }

    /// The places of those of ARM's private calls that are mentioned.
    pub(crate) fn private(&self) -> impl Iterator<Item = usize> {
        (PRIVATE_PLACE..PLACES).filter(|place| self.is_mentioned(*place))
    }

    pub(crate) fn is_mentioned(&self, place: usize) -> bool {
        self.at[place] != NONE
    }

    /// The place of a number, if it has one of those up to the highest one mentioned.
    pub(crate) fn place(&self, nr: u32) -> Option<usize> {
        let mentioned = self.ordinary().chain(self.private());
        mentioned
            .filter(|place| self.is_mentioned(*place))
            .find(|place| self.number(*place) == nr)
    }

    pub(crate) fn number(&self, place: usize) -> u32 {
        self.places.number(place)
    }

    fn rows(&self, place: usize) -> impl Iterator<Item = Row> {
        let row = |index: u16| (index != NONE).then(|| Row::from_index(index.into()));
        std::iter::successors(row(self.at[place]), move |before| {
            row(self.also[before.index()])
        })
    }

    /// The rules that could decide the call at a place by its own name.
    pub(crate) fn deciding(&self, place: usize) -> impl Iterator<Item = u32> {
        self.rows(place).flat_map(|row| self.mentions.deciding(row))
    }

    /// What a filter returns for the call at a place, in the cases that are plain to see.
    pub(crate) fn always(&self, place: usize) -> Option<u32> {
        let row = usize::from(self.at[place]);
        if self.also[row] == NONE {
            return self.mentions.always[row];
        }
        None
    }

    /// What becomes of the call at a place.
    pub(crate) fn outcome(&self, place: usize, warnings: &mut Vec<Warning>) -> Outcome {
        let row = Row::from_index(self.at[place].into());
        if self.also[row.index()] == NONE {
            return match self.mentions.said[row.index()] {
                Said::Always(mention, action) => Outcome::Always(mention, action),
                _ => self.depends(self.mentions.deciding(row), place, warnings),
            };
        }
        let mut direct: Vec<u32> = self.deciding(place).collect();
        direct.sort_unstable();
        match self.mentions.say(direct.iter().copied()) {
            Said::Always(mention, action) => Outcome::Always(mention, action),
            _ => self.depends(direct.into_iter(), place, warnings),
        }
    }

    fn depends(
        &self,
        direct: impl Iterator<Item = u32>,
        place: usize,
        warnings: &mut Vec<Warning>,
    ) -> Outcome {
        let mut candidates = Candidates::default();
        candidates.decision.wide = self.arch.compares_64_bits();
        for mention in direct {
            let entry = self.mentions.entry(mention);
            for conditions in entry.alternatives() {
                candidates.push(conditions, entry.action, mention);
            }
        }
        for row in self.rows(place) {
            if let Some(multiplexer) = MULTIPLEXERS.iter().find(|known| known.row == row) {
                self.multiplexed(multiplexer, &mut candidates, warnings);
            }
        }
        if candidates.mentions.is_empty() {
            return Outcome::Nothing;
        }
        Outcome::Depends(candidates)
    }

    /// The rules for the calls of a multiplexer. Their arguments lie in memory, so conditions cannot be checked. A rule
    /// stricter than the default then holds for all such calls, and one more lenient for none.
    fn multiplexed(
        &self,
        multiplexer: &Multiplexer,
        candidates: &mut Candidates,
        warnings: &mut Vec<Warning>,
    ) {
        for (call, row) in multiplexer.calls {
            let decides = match self.mentions.said[row.index()] {
                Said::Nothing => None,
                Said::Always(mention, _) => Some(mention),
                Said::Depends => self.strictest(*row, warnings),
            };
            let condition = Condition {
                arg: 0,
                op: Op::MaskedEq(multiplexer.mask.into()),
                value: (*call).into(),
            };
            if let Some(mention) = decides {
                candidates.push(&[condition], self.mentions.entry(mention).action, mention);
            }
        }
    }

    /// The first of the strictest rules, if it is stricter than the default.
    fn strictest(&self, row: Row, warnings: &mut Vec<Warning>) -> Option<u32> {
        let mentions = self.mentions;
        let severity = |mention: &u32| mentions.entry(*mention).action.severity();
        let default = mentions.rules.default;
        let strictest = mentions
            .deciding(row)
            .min_by_key(severity)
            .filter(|mention| severity(mention) < default.severity());
        let action = strictest.map_or(default, |mention| mentions.entry(mention).action);
        let arch = self.arch;
        let kind = |name| WarningKind::Multiplexed { name, arch, action };
        let all = mentions.deciding(row);
        warnings.extend(all.map(|mention| mentions.warning(mention, kind)));
        strictest
    }
}
