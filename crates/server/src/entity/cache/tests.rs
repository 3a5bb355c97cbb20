use std::sync::atomic::AtomicUsize;

use futures_util::future::join_all;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A source that answers after a while with how often it was asked, unless told otherwise.
#[derive(Clone, Default)]
struct Source {
    asked: Arc<AtomicUsize>,
    in_flight: Arc<AtomicUsize>,
    in_flight_most: Arc<AtomicUsize>,
    reply: Arc<Mutex<Reply>>,
    delay: Duration,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Reply {
    #[default]
    Number,
    Nothing,
    Fail,
    Panic,
}

impl Source {
    fn taking(delay: Duration) -> Self {
        Self { delay, ..Self::default() }
    }

    fn reply(&self, reply: Reply) {
        *self.reply.lock().unwrap() = reply;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    async fn ask(self) -> Result<CachedAnswer, Failure> {
        let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let flying = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        self.in_flight_most.fetch_max(flying, Ordering::SeqCst);
        tokio::time::sleep(self.delay).await;
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        let reply = *self.reply.lock().unwrap();
        match reply {
            Reply::Number => Ok(Some(Arc::new(Value::Long(i64::try_from(number).unwrap())))),
            Reply::Nothing => Ok(None),
            Reply::Fail => Err(unavailable("down")),
            Reply::Panic => panic!("a defect"),
        }
    }
}

fn cache(settings: Settings) -> Arc<Cache> {
    Cache::new(settings, &TaskTracker::new())
}

fn key(url: &str) -> CacheKey {
    CacheKey { url: url.to_owned(), schema: "1".to_owned() }
}

/// Asks, waiting at most 50 ms; the number that came, or `None` for "there is none".
async fn get(cache: &Arc<Cache>, key: CacheKey, source: &Source) -> Result<Option<i64>, Failure> {
    let deadline = Instant::now() + Duration::from_millis(50);
    let found = cache.get(key, deadline, || source.clone().ask()).await?;
    Ok(found.map(|value| match *value {
        Value::Long(number) => number,
        _ => unreachable!("the source gives numbers"),
    }))
}

#[tokio::test(start_paused = true)]
async fn the_cache_never_serves_a_record_past_its_ttl() {
    let (cache, source) = (cache(Settings::default()), Source::default());
    assert_eq!(get(&cache, key("a"), &source).await.unwrap(), Some(1));
    tokio::time::advance(SECOND * 30 - Duration::from_millis(5)).await;
    assert_eq!(get(&cache, key("a"), &source).await.unwrap(), Some(1));
    tokio::time::advance(Duration::from_millis(5)).await;
    assert_eq!(get(&cache, key("a"), &source).await.unwrap(), Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_record_is_as_old_as_its_question() {
    let (cache, source) = (cache(Settings::default()), Source::taking(SECOND * 2));
    let _ = get(&cache, key("a"), &source).await;
    tokio::time::sleep(SECOND * 2).await;
    assert_eq!(get(&cache, key("a"), &source).await.unwrap(), Some(1));
    tokio::time::advance(SECOND * 28).await;
    assert!(get(&cache, key("a"), &source).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_absence_lives_a_tenth_as_long() {
    let settings = Settings { max_stale: SECOND * 60, ..Settings::default() };
    let (cache, source) = (cache(settings), Source::default());
    source.reply(Reply::Nothing);
    assert_eq!(get(&cache, key("a"), &source).await.unwrap(), None);
    source.reply(Reply::Number);
    tokio::time::advance(Duration::from_millis(2990)).await;
    assert_eq!(get(&cache, key("a"), &source).await.unwrap(), None);
    assert_eq!(cache.stats().negatives.load(Ordering::Relaxed), 1);
    tokio::time::advance(Duration::from_millis(10)).await;
    assert_eq!(get(&cache, key("a"), &source).await.unwrap(), Some(2), "and is never stretched by max_stale");
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_never_cached() {
    let (cache, source) = (cache(Settings::default()), Source::default());
    for round in 1..=3 {
        source.reply(Reply::Fail);
        assert!(get(&cache, key("a"), &source).await.is_err());
        assert_eq!(source.asked(), round);
    }
    source.reply(Reply::Number);
    assert_eq!(get(&cache, key("a"), &source).await.unwrap(), Some(4));
    assert_eq!(cache.stats().errors.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_callers_send_one_request() {
    let (cache, source) = (cache(Settings::default()), Source::taking(Duration::from_millis(20)));
    let answers = join_all((0..1000).map(|_| get(&cache, key("a"), &source))).await;
    assert!(answers.into_iter().all(|answer| answer.unwrap() == Some(1)));
    assert_eq!(source.asked(), 1);
    assert_eq!(cache.stats().misses.load(Ordering::Relaxed), 1000);
}

#[tokio::test(start_paused = true)]
async fn a_request_outlives_the_caller_that_gave_up_and_fills_the_cache() {
    let (cache, source) = (cache(Settings::default()), Source::taking(Duration::from_millis(200)));
    let started = Instant::now();
    for _ in 0..4 {
        assert!(get(&cache, key("a"), &source).await.is_err());
    }
    assert!(started.elapsed() <= Duration::from_millis(210));
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(get(&cache, key("a"), &source).await.unwrap(), Some(1));
    assert_eq!(source.in_flight_most.load(Ordering::SeqCst), 1);
    assert_eq!(source.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_source_is_queried_again_only_after_its_request_was_given_up() {
    let (cache, source) = (cache(Settings::default()), Source::taking(SECOND * 3600));
    let started = Instant::now();
    while started.elapsed() < FLIGHT_MAX * 3 {
        assert!(get(&cache, key("a"), &source).await.is_err());
    }
    assert!(source.asked() <= 4, "asked {} times", source.asked());
}

#[tokio::test(start_paused = true)]
async fn a_source_that_breaks_off_is_unavailable_and_does_not_block_its_key() {
    let (cache, source) = (cache(Settings::default()), Source::default());
    source.reply(Reply::Panic);
    assert!(get(&cache, key("a"), &source).await.is_err());
    source.reply(Reply::Number);
    assert_eq!(get(&cache, key("a"), &source).await.unwrap(), Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_stale_record_is_served_while_a_new_one_is_fetched_up_to_max_stale() {
    let settings = Settings { max_stale: SECOND * 60, ..Settings::default() };
    let (cache, source) = (cache(settings), Source::default());
    get(&cache, key("a"), &source).await.unwrap();
    source.reply(Reply::Fail);
    tokio::time::advance(SECOND * 89).await;
    assert_eq!(get(&cache, key("a"), &source).await.unwrap(), Some(1));
    assert_eq!(cache.stats().stale.load(Ordering::Relaxed), 1);
    tokio::time::advance(SECOND).await;
    assert!(get(&cache, key("a"), &source).await.is_err(), "past max_stale the source has to answer");
    source.reply(Reply::Number);
    assert!(get(&cache, key("a"), &source).await.is_ok());
    tokio::time::advance(SECOND * 31).await;
    let stale = get(&cache, key("a"), &source).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(get(&cache, key("a"), &source).await.unwrap() > stale, "the stale answer brought a new one");
}

#[tokio::test(start_paused = true)]
async fn without_max_stale_nothing_stale_is_served() {
    let (cache, source) = (cache(Settings::default()), Source::default());
    get(&cache, key("a"), &source).await.unwrap();
    source.reply(Reply::Fail);
    tokio::time::advance(SECOND * 30).await;
    assert!(get(&cache, key("a"), &source).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_ttl_of_zero_caches_nothing() {
    let (cache, source) = (cache(Settings { ttl: Duration::ZERO, ..Settings::default() }), Source::default());
    for round in 1..=3 {
        assert_eq!(get(&cache, key("a"), &source).await.unwrap(), Some(round));
    }
}

#[tokio::test(start_paused = true)]
async fn p42_a_record_checked_by_another_schema_is_not_used() {
    let (cache, source) = (cache(Settings::default()), Source::default());
    get(&cache, key("a"), &source).await.unwrap();
    let other = CacheKey { schema: "2".to_owned(), ..key("a") };
    assert_eq!(get(&cache, other, &source).await.unwrap(), Some(2));
}

#[tokio::test(start_paused = true)]
async fn more_keys_than_room_evict_and_stay_within_the_bound() {
    let (cache, source) = (cache(Settings { entries_max: 100, ..Settings::default() }), Source::default());
    for number in 0..1000 {
        get(&cache, key(&number.to_string()), &source).await.unwrap();
    }
    cache.records.run_pending_tasks().await;
    assert!(cache.entries() <= 100, "{} entries", cache.entries());
    assert!(cache.stats().evictions.load(Ordering::Relaxed) >= 900);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_questions_to_a_hanging_source_is_bounded() {
    let settings = Settings { in_flight_max: 10, ..Settings::default() };
    let (cache, source) = (cache(settings), Source::taking(SECOND * 3600));
    let keys: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    let answers = join_all(keys.iter().map(|url| get(&cache, key(url), &source))).await;
    assert!(answers.iter().all(Result::is_err));
    assert_eq!(source.asked(), 10);
    tokio::time::sleep(FLIGHT_MAX).await;
    assert!(cache.flights.lock().unwrap().is_empty());
}
