//! The result of a run, as one table.

use std::time::Duration;

use super::audit::Findings;
use super::faults::Faults;
use super::host::Host;
use super::ledger::Ledger;

pub struct Report {
    lines: Vec<(String, String)>,
    faults: Vec<String>,
    seed: u64,
}

impl Report {
    pub fn new(name: &str, seed: u64) -> Self {
        Self {
            lines: vec![("run".to_owned(), name.to_owned())],
            faults: Vec::new(),
            seed,
        }
    }

    pub fn line(&mut self, name: &str, text: impl ToString) {
        self.lines.push((name.to_owned(), text.to_string()));
    }

    /// Something is wrong; the test will fail.
    pub fn fault(&mut self, text: impl ToString) {
        self.faults.push(text.to_string());
    }

    pub fn drained(&mut self, outcome: Result<Duration, String>) {
        self.waited("drained after", outcome);
    }

    /// How long something took, or why it did not come.
    pub fn waited(&mut self, what: &str, outcome: Result<Duration, String>) {
        match outcome {
            Ok(waited) => self.line(what, format!("{waited:.1?}")),
            Err(reason) => self.fault(format!("{what}: {reason}")),
        }
    }

    pub fn load(&mut self, ledger: &Ledger) {
        let book = ledger.book();
        let acknowledged = book.events.values().filter(|entry| entry.is_acknowledged);
        let sends = book
            .events
            .values()
            .map(|entry| u64::from(entry.sends))
            .sum::<u64>();
        let mut answers: Vec<_> = book.answers.iter().collect();
        answers.sort_unstable();
        self.line("events sent", book.events.len());
        self.line("with copies and retries", sends);
        self.line("acknowledged", acknowledged.count());
        if book.spooled > 0 {
            self.line("acknowledgements from the spool", book.spooled);
        }
        self.line("invalid events sent", book.invalid.len());
        self.line("requests", book.requests);
        self.line("answers by status", format!("{answers:?}"));
        self.line("no answer", book.failures);
        self.line("given up by the client", book.given_up);
        self.line("slowest answer", format!("{} ms", book.slowest_answer_ms));
        for violation in book.violations.iter().take(20) {
            self.faults.push(format!("wrong answer: {violation}"));
        }
    }

    pub fn faults(&mut self, faults: &Faults, host: &Host) {
        for (fault, count) in &faults.done {
            self.line(&format!("{fault:?}"), count);
        }
        self.line("starts of momsflow", host.starts);
        self.line(
            "slowest start until it answers",
            format!("{:.1?}", host.slowest_start),
        );
        self.faults.extend(faults.complaints.iter().cloned());
        for failed in &host.failed_starts {
            self.faults.push(format!("a start ended by itself: {failed}"));
        }
    }

    pub fn findings(&mut self, findings: &Findings) {
        self.line("stored", findings.stored);
        self.line("of them never acknowledged", findings.unacknowledged_stored);
        self.line("stored twice", findings.twice);
        self.line("lost", findings.lost);
        self.line("dead letters", findings.dead_letters);
        self.line("differences", findings.differences.len());
        self.faults.extend(findings.differences.iter().cloned());
    }

    /// Prints the table; where something is wrong, keeps the hosts' folders and fails.
    pub fn conclude(mut self, hosts: impl IntoIterator<Item = Host>) {
        let mut hosts: Vec<_> = hosts.into_iter().collect();
        let memory = hosts.iter_mut().map(|host| {
            host.note_memory();
            host.peak_kib / 1024
        });
        let most = memory.max().unwrap_or_default();
        self.line("most memory of momsflow (VmHWM)", format!("{most} MiB"));
        let width = self
            .lines
            .iter()
            .map(|(name, _)| name.len())
            .max()
            .unwrap_or_default();
        for (name, text) in &self.lines {
            println!("| {name:width$} | {text:>30} |");
        }
        if self.faults.is_empty() {
            return;
        }
        for fault in &self.faults {
            println!("FAULT {fault}");
        }
        let kept: Vec<_> = hosts.into_iter().map(Host::keep).collect();
        panic!(
            "{} faults with SOAK_SEED={}; the data dirs and logs are kept in {kept:?}",
            self.faults.len(),
            self.seed
        );
    }
}
