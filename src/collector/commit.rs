use super::prepare::Tally;
use super::{Answer, Collector, Prepared, SubmitError};
use crate::broker::LogError;
use crate::broker::intake::Durability;

impl Collector {
    /// Makes what was prepared durable, and counts it.
    ///
    /// # Errors
    /// The log's refusal. Only an `Ok` is an acknowledgement.
    pub async fn commit(&self, prepared: Prepared) -> Result<Answer, SubmitError> {
        let Prepared {
            records,
            mut answer,
            tally,
        } = prepared;
        if !records.is_empty() {
            answer.is_spooled = self.append(records).await? == Durability::Spooled;
        }
        tally.count();
        Ok(answer)
    }

    /// The same for several bodies at once, with one append for all; an answer for each, in their order.
    pub async fn commit_all(&self, mut all: Vec<Prepared>) -> Vec<Result<Answer, SubmitError>> {
        if all.len() > 1 {
            let records = all.iter().flat_map(|prepared| prepared.records.iter().cloned());
            match self.append(records.collect()).await {
                // One is at fault, and must not cost the others their answer.
                Err(LogError::BadRecord(_)) => {}
                done => return settled(all, done),
            }
        }
        let mut answers = Vec::with_capacity(all.len());
        for prepared in all.drain(..) {
            answers.push(self.commit(prepared).await);
        }
        answers
    }
}

/// The answers of what was appended together.
fn settled(all: Vec<Prepared>, done: Result<Durability, LogError>) -> Vec<Result<Answer, SubmitError>> {
    let mut sum: Option<Tally> = None;
    let answers = all.into_iter().map(|prepared| {
        let Prepared {
            records,
            mut answer,
            tally,
        } = prepared;
        // Who has no record waits for nothing and is refused nothing.
        if !records.is_empty() {
            answer.is_spooled = done.clone()? == Durability::Spooled;
        }
        match &mut sum {
            Some(sum) if sum.is_of_source(&tally) => sum.add(tally),
            sum => {
                if let Some(before) = sum.replace(tally) {
                    before.count();
                }
            }
        }
        Ok(answer)
    });
    let answers = answers.collect();
    if let Some(sum) = sum {
        sum.count();
    }
    answers
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use super::*;
    use crate::broker::fake::{FakeLog, Outcome};
    use crate::broker::intake::Intake;
    use crate::clock::Clock;
    use crate::collector::{Shape, Submission};
    use crate::config::Config;
    use crate::event::Client;
    use crate::http::Source;

    fn prepared(collector: &Collector, source: &str, body: &str) -> Prepared {
        let source = Source {
            name: source.to_owned(),
            trusted: true,
            origins: Vec::new(),
            may_backdate: false,
        };
        let submission = Submission {
            source: &source,
            shape: Shape::Event(None),
            client: Client::default(),
        };
        collector
            .prepare(body.as_bytes(), &submission, |_| Ok(()))
            .unwrap()
    }

    fn event(name: &str) -> String {
        format!(r#"{{"type":"track","userId":"u","event":"{name}"}}"#)
    }

    #[tokio::test]
    async fn several_go_into_the_log_together_and_each_is_counted() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let _counts = metrics::set_default_local_recorder(&recorder);
        let log = FakeLog::new(1, Clock::system());
        let collector = Collector::new(
            Arc::new(Intake::of(log.clone())),
            Clock::system(),
            &Config::default(),
        );
        let all = |names: &[(&str, &str)]| {
            let each = names
                .iter()
                .map(|(source, name)| prepared(&collector, source, &event(name)));
            each.collect::<Vec<_>>()
        };
        let mut several = all(&[("a", "1"), ("a", "2"), ("b", "3"), ("a", "4")]);
        several.push(prepared(&collector, "a", r#"{"type":"track","userId":"u"}"#));
        // One append, or the second one would find the script at its end.
        log.script_appends([
            Outcome::Accept,
            Outcome::Reject(LogError::Unavailable("full".to_owned())),
        ]);
        let answers = collector.commit_all(several).await;
        let accepted: Vec<_> = answers
            .into_iter()
            .map(|answer| answer.unwrap().accepted)
            .collect();
        assert_eq!(accepted, [1, 1, 1, 1, 0]);
        assert_eq!(log.records(0).len(), 5, "the refused one as a rejection");

        let refused = collector.commit_all(all(&[("a", "5"), ("a", "6")])).await;
        assert!(refused.iter().all(Result::is_err), "{refused:?}");
        assert_eq!(log.records(0).len(), 5);
        assert!(collector.commit_all(Vec::new()).await.is_empty());
        let counted = recorder.handle().render();
        for line in [
            "momsflow_ingest_events_total{source=\"a\",type=\"track\"} 3",
            "momsflow_ingest_events_total{source=\"b\",type=\"track\"} 1",
        ] {
            assert!(counted.contains(line), "{line}\n{counted}");
        }
    }

    #[tokio::test]
    async fn one_that_the_log_does_not_take_costs_the_others_nothing() {
        let log = FakeLog::new(1, Clock::system());
        log.set_longest(1000);
        let collector = Collector::new(
            Arc::new(Intake::of(log.clone())),
            Clock::system(),
            &Config::default(),
        );
        let padding = "x".repeat(1000);
        let long = format!(r#"{{"type":"track","userId":"u","event":"e","properties":{{"a":"{padding}"}}}}"#);
        let all = [event("1"), long, event("2")].map(|body| prepared(&collector, "a", &body));
        let answers = collector.commit_all(all.into()).await;
        assert!(
            matches!(
                answers[..],
                [Ok(_), Err(SubmitError::Log(LogError::BadRecord(_))), Ok(_)]
            ),
            "{answers:?}"
        );
        assert_eq!(log.records(0).len(), 2);
    }
}
