//! What a master may answer, as a target for a fuzzer.

use proto::message::hello::Refusal;
use proto::message::launch::{Accepted, Cancelled, Ended, Output, Progress};
use proto::{Frame, FrameReader, Message as _};

use crate::follow::words;
use crate::notice;
use crate::output::{OwnWords, Printer};

/// No answer makes this program panic, and none of its words reaches a terminal as an order to
/// it.
pub fn answers(input: &[u8]) {
    let mut reader = FrameReader::authenticated();
    reader.push(input);
    let mut printer = Printer::new(OwnWords::Under("app".to_owned()));
    while let Ok(Some(frame)) = reader.next_frame() {
        let before = printer.position();
        if let Some(words) = hear(&frame, &mut printer) {
            let line = notice::line("app", &words);
            assert!(line.chars().all(|c| c == '\n' || !c.is_control()), "{line:?}");
        }
        let (now, before) = (printer.position(), before);
        assert!((now.part, now.offset) >= (before.part, before.offset));
    }
}

/// Returns what would be said about an answer.
fn hear(frame: &Frame, printer: &mut Printer) -> Option<String> {
    match frame.kind {
        Accepted::KIND => frame.open::<Accepted>().ok()?.requests.into_iter().next(),
        Progress::KIND => {
            let progress: Progress = frame.open().ok()?;
            Some(words::queued(&progress))
        }
        Output::KIND => printer.take(&frame.open().ok()?).err().map(|error| error.to_string()),
        Ended::KIND => {
            let reason = frame.open::<Ended>().ok()?.reason;
            printer.has_told(&reason);
            Some(reason)
        }
        Cancelled::KIND => frame.open::<Cancelled>().ok().map(|cancelled| cancelled.request),
        Refusal::KIND => frame.open::<Refusal>().ok().map(|refusal| refusal.to_string()),
        _ => frame.skip_unknown().err().map(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn answers_of_the_corpus() {
        corpus::replay("answers", super::answers);
    }
}
