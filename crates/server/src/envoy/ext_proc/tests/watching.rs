//! Responses that pass while a copy of them is read.

use std::sync::Mutex;

use super::*;

/// Records what it reads; `p` panics.
struct Copies(Arc<Mutex<String>>);

impl BodyCopy for Copies {
    fn push(&mut self, bytes: &[u8]) {
        assert!(!bytes.contains(&b'p'), "as the test wants");
        self.0.lock().unwrap().push_str(std::str::from_utf8(bytes).unwrap());
    }

    fn finish(&mut self) {
        self.0.lock().unwrap().push('.');
    }

    fn takes_long(&self, bytes: usize) -> bool {
        bytes > 100
    }
}

/// Every response passes, and a copy of its body is read.
struct Watches(Arc<Mutex<String>>, Passage);

impl ResponsePhase for Watches {
    fn guard(&self, _: Option<&str>, _: Option<&SpiffeId>, _: UnixMillis) -> Guard {
        Guard::Open
    }

    fn forward(&self, _: &RequestStream<'_>) -> Forward {
        Forward::AsItCame
    }

    fn begin(&self, _: ResponseHead, _: Instant) -> Later<'_, Begin> {
        Box::pin(std::future::ready(Begin::Watch(Box::new(Copies(Arc::clone(&self.0))), self.1)))
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_is_read_changes_nothing_of_a_response() {
    let long = "l".repeat(200);
    for (pieces, read) in [
        (&["ab", "c"][..], "abc."),
        (&["a", "", "h"], "ah."),
        // Reading the copy panics: the rest passes unread.
        (&["a", "p", "b"], "a"),
        (&[&*long, "a"], &*format!("{long}a.")),
        (&["a", &*format!("p{long}"), "b"], "a"),
    ] {
        for passage in [Passage::Unchanged, Passage::Private] {
            let seen = Arc::<Mutex<String>>::default();
            let mut watched = stream(&of_phase(Watches(Arc::clone(&seen), passage)));
            watched.send(head(false));
            let mut answers = Vec::new();
            for (number, piece) in pieces.iter().enumerate() {
                watched.send(body(piece, number + 1 == pieces.len()));
            }
            tokio::time::resume();
            while answers.len() < pieces.len() + 1 {
                answers.push(watched.next().await);
            }
            let expected = pieces.iter().enumerate().map(|(number, piece)| {
                let text = if piece.len() > 20 { format!("{} bytes", piece.len()) } else { (*piece).to_owned() };
                format!("body `{text}`{}", if number + 1 == pieces.len() { " end" } else { "" })
            });
            let expected: Vec<String> = expected.collect();
            assert_eq!(answers.get(1..), Some(&*expected), "{pieces:?}");
            assert!(answers[0].contains("head"), "{answers:?}");
            drop(watched.messages);
            assert_eq!(watched.answers.next().await.map(|answer| answer.is_ok()), None);
            assert_eq!(*seen.lock().unwrap(), read, "{pieces:?}");
            tokio::time::pause();
        }
    }
    let seen = Arc::<Mutex<String>>::default();
    let mut trailed = stream(&of_phase(Watches(Arc::clone(&seen), Passage::Unchanged)));
    trailed.send(head(false));
    trailed.send(body("a", false));
    trailed.send(Request::ResponseTrailers(HttpTrailers::default()));
    assert_eq!(trailed.all().await.len(), 3);
    assert_eq!(*seen.lock().unwrap(), "a.");
}
