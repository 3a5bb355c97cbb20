//! Applies rulings to the values of one frame, in the order of its bytes.
//!
//! Knows: the values of a frame. Must not know: where rulings come from, how frames are queued.

use std::collections::{BTreeMap, BTreeSet};

use smol_str::SmolStr;

use super::channel::{Channels, ValueId};
use super::frame::{Frame, Gap, Source};
use super::ruling::End;
use super::value::Place;
use super::verdicts::Sight;
use crate::content::mask::StandIns;

/// One thing that needs a ruling.
#[derive(Debug)]
struct Item {
    /// Offset in the frame, then in a text that is one change of the frame, then the number of the pass.
    order: (usize, u64, usize),
    sight: Sight,
    subject: Subject,
}

#[derive(Debug)]
enum Subject {
    Gap,
    Field(usize),
    Value { leaf: usize, value: ValueId },
}

/// Values by detector.
pub(super) type Tally = BTreeMap<SmolStr, u64>;

/// Counts the values of a frame, before it is ruled about: also those count that are the reason of a refusal. Returns everything that
/// needs a ruling, in its order.
pub(super) fn count(frame: &Frame, channels: &Channels, tally: &mut Tally) -> Vec<Sight> {
    // The passes find the same value several times.
    let mut counted = BTreeSet::new();
    let mut sights = Vec::new();
    for Item { order: (at, within, _), sight, subject } in items(frame, channels) {
        let is_repeated = match subject {
            Subject::Gap | Subject::Field(_) => false,
            Subject::Value { leaf, .. } => frame.leaves.get(leaf).is_some_and(|leaf| leaf.is_repeated),
        };
        if let Sight::Found(detector) = &sight
            && !is_repeated
            && counted.insert((at, within, detector.clone()))
        {
            *tally.entry(detector.clone()).or_default() += 1;
        }
        sights.push(sight);
    }
    sights
}

/// Rules about every value of a frame; `rule` says whether it is masked.
pub(super) fn settle(
    frame: &mut Frame,
    channels: &mut Channels,
    stand_ins: &mut StandIns,
    rule: &mut dyn FnMut(&Sight) -> Result<bool, End>,
) -> Result<(), End> {
    for item in items(frame, channels) {
        let is_masked = rule(&item.sight)?;
        match item.subject {
            Subject::Gap => {}
            Subject::Field(number) => {
                let Some(field) = frame.fields.get_mut(number) else { continue };
                field.is_masked = is_masked;
            }
            Subject::Value { leaf, value } => {
                let Some(leaf) = frame.leaves.get_mut(leaf) else { continue };
                let Some(value) = leaf.value_mut(channels, value) else { continue };
                value.is_masked = Some(is_masked);
                if is_masked {
                    if value.place != Place::Text {
                        return Err(End::NotMaskable);
                    }
                    value.mask(stand_ins)?;
                }
            }
        }
    }
    Ok(())
}

fn items(frame: &Frame, channels: &Channels) -> Vec<Item> {
    let mut items = Vec::new();
    for (at, gap) in &frame.gaps {
        let sight = match gap {
            Gap::Unread => Sight::Unread,
            Gap::Media(media_type) => Sight::Media(media_type.clone()),
        };
        items.push(Item { order: (*at, 0, 0), sight, subject: Subject::Gap });
    }
    for (number, field) in frame.fields.iter().enumerate() {
        let order = (frame.place(field.place), 0, 0);
        items.push(Item { order, sight: Sight::Found(field.detector.clone()), subject: Subject::Field(number) });
    }
    for (number, leaf) in frame.leaves.iter().enumerate() {
        let (from, to) = leaf.range();
        if let Source::Channel { key, .. } = &leaf.source
            && channels.get(key).is_some_and(|channel| channel.is_unread)
        {
            items.push(Item { order: (leaf.place(from), 0, 0), sight: Sight::Unread, subject: Subject::Gap });
        }
        for (id, value) in leaf.values(channels) {
            if value.is_masked.is_none() && (from..to).contains(&value.from) {
                let subject = Subject::Value { leaf: number, value: id };
                let order = (leaf.place(value.from), value.from, value.pass);
                items.push(Item { order, sight: Sight::Found(value.detector.clone()), subject });
            }
        }
    }
    items.sort_by_key(|item| item.order);
    items
}
