//! Our spans. The pure core opens them too: they read no clock, whoever listens does. Their fields come from closed sets, as the labels of metrics do: never a name or content of an object.

use opentelemetry::trace::TraceContextExt as _;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The target of spans that a collector gets. They have the level of debugging, so that the log's own lines stay as they are.
pub const TARGET: &str = "probity::span";

/// A turn of the loop that has something to do.
pub(crate) fn round() -> Span {
    tracing::debug_span!(
        target: TARGET, parent: None, "round",
        inputs = tracing::field::Empty,
        records = tracing::field::Empty,
        actions = tracing::field::Empty,
        statuses = tracing::field::Empty,
    )
}

/// What a control judges in a round.
pub(crate) fn judge(control: &'static str) -> Span {
    tracing::debug_span!(
        target: TARGET, "judge", control,
        subjects = tracing::field::Empty,
        news = tracing::field::Empty,
    )
}

/// Entries on their way to the disk.
pub(crate) fn append(entries: usize) -> Span {
    beside(|| {
        tracing::debug_span!(
            target: TARGET, parent: None, "append", entries, result = tracing::field::Empty,
        )
    })
}

/// A request that may change something: a step of a remedy, or a status.
pub(crate) fn write(verb: &'static str, kind: &'static str) -> Span {
    beside(|| {
        tracing::debug_span!(
            target: TARGET, parent: None, "write", verb, kind, result = tracing::field::Empty,
        )
    })
}

/// A span in the trace of the current one that outlives it. As its child it would hold it open: a round would seem to last
/// as long as the slowest write.
fn beside(make: impl FnOnce() -> Span) -> Span {
    let around = Span::current();
    let span = make();
    if !span.is_disabled() {
        let context = around.context();
        if context.span().span_context().is_valid() {
            // It fails for spans that have begun, or that nobody exports: then it has no parent.
            let _ = span.set_parent(context);
        }
    }
    span
}
