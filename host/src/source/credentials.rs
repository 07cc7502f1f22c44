//! Credentials that can be looked for anew before they were said to expire.
//!
//! The SDK keeps what a provider gave it until that expires, and some providers keep the file that they
//! read. A token that AWS calls expired all the same would be sent again and again. Here the whole way to
//! the credentials is made anew each time.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use aws_config::{
    Region, SdkConfig, default_provider::credentials::DefaultCredentialsChain,
    sts::AssumeRoleProvider,
};
use aws_credential_types::{
    Credentials,
    provider::{
        self, ProvideCredentials, SharedCredentialsProvider, error::CredentialsError, future,
    },
};
use futures_util::future::BoxFuture;
use tokio::time::Instant;

/// How long before they expire others are looked for.
const EARLY: Duration = Duration::from_mins(5);
/// What was found is kept for so long at least, and not forgotten before either.
const LEAST: Duration = Duration::from_secs(10);

type Make = Box<dyn Fn() -> BoxFuture<'static, SharedCredentialsProvider> + Send + Sync>;

/// See the module.
pub(super) struct Renewing {
    make: Make,
    kept: Mutex<Option<Kept>>,
    /// One looks, the others wait for what it finds.
    looking: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Kept {
    credentials: Credentials,
    found: Instant,
    forgotten: bool,
}

impl Kept {
    fn is_good(&self) -> bool {
        if self.found.elapsed() < LEAST {
            return !self.forgotten;
        }
        let late = SystemTime::now() + EARLY;
        !self.forgotten && self.credentials.expiry().is_none_or(|expiry| expiry > late)
    }

    fn has_not_expired(&self) -> bool {
        let expiry = self.credentials.expiry();
        !self.forgotten && expiry.is_none_or(|expiry| expiry > SystemTime::now())
    }
}

impl Renewing {
    fn new<F, P>(make: impl Fn() -> F + Send + Sync + 'static) -> Arc<Self>
    where
        F: Future<Output = P> + Send + 'static,
        P: ProvideCredentials + 'static,
    {
        Arc::new(Self {
            make: Box::new(move || {
                let provider = make();
                Box::pin(async move { SharedCredentialsProvider::new(provider.await) })
            }),
            kept: Mutex::default(),
            looking: tokio::sync::Mutex::default(),
        })
    }

    /// Those that every AWS tool finds.
    pub(super) fn of_the_environment(region: &str) -> Arc<Self> {
        let region = Region::new(region.to_owned());
        Self::new(move || {
            DefaultCredentialsChain::builder()
                .region(region.clone())
                .build()
        })
    }

    /// Those of a role. STS is asked in the region of `config`, at its own address.
    pub(super) fn of_a_role(
        role: &str,
        external_id: Option<&str>,
        config: &SdkConfig,
    ) -> Arc<Self> {
        let mut config = config.to_builder();
        // The address in `config` is that of SQS and S3; taken away, the SDK would not look for STS's own.
        config.set_endpoint_url(std::env::var("AWS_ENDPOINT_URL_STS").ok());
        let config = config.build();
        let (role, external_id) = (role.to_owned(), external_id.map(ToOwned::to_owned));
        Self::new(move || {
            let builder = AssumeRoleProvider::builder(&role)
                .session_name("sluicegate")
                .configure(&config);
            match &external_id {
                Some(id) => builder.external_id(id).build(),
                None => builder.build(),
            }
        })
    }

    /// As the SDK takes them; together with `IdentityCache::no_cache()`, for they are kept here.
    pub(super) fn shared(self: &Arc<Self>) -> SharedCredentialsProvider {
        let provider: Arc<dyn ProvideCredentials> = Arc::<Self>::clone(self);
        SharedCredentialsProvider::new(provider)
    }

    /// AWS calls them expired: the next request looks for others, unless these have only just been found.
    pub(super) fn forget(&self) {
        if let Some(kept) = &mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner)
            && kept.found.elapsed() >= LEAST
        {
            kept.forgotten = true;
        }
    }

    fn kept(&self) -> Option<Kept> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clone()
    }

    async fn credentials(&self) -> provider::Result {
        if let Some(kept) = self.kept().filter(Kept::is_good) {
            return Ok(kept.credentials);
        }
        let _one = self.looking.lock().await;
        if let Some(kept) = self.kept().filter(Kept::is_good) {
            return Ok(kept.credentials);
        }
        let provider = (self.make)().await;
        match (provider.provide_credentials().await, self.kept()) {
            (Ok(credentials), _) => {
                *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(Kept {
                    credentials: credentials.clone(),
                    found: Instant::now(),
                    forgotten: false,
                });
                Ok(credentials)
            }
            (Err(_), Some(kept)) if kept.has_not_expired() => Ok(kept.credentials),
            (Err(error), _) => Err(error),
        }
    }

    /// Looks whether there are any.
    pub(super) async fn check(&self) -> Result<(), CredentialsError> {
        self.credentials().await.map(drop)
    }
}

impl ProvideCredentials for Renewing {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.credentials())
    }
}

impl std::fmt::Debug for Renewing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Renewing").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// Gives out keys named by how often it was made; each lives for so long, or for ever.
    fn counted(lives: Option<Duration>) -> (Arc<Renewing>, Arc<AtomicU64>) {
        let made = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&made);
        let renewing = Renewing::new(move || {
            let number = count.fetch_add(1, Ordering::SeqCst);
            let expiry = lives.map(|lives| SystemTime::now() + lives);
            let credentials = Credentials::new(number.to_string(), "s", None, expiry, "tests");
            async move { credentials }
        });
        (renewing, made)
    }

    async fn key(renewing: &Renewing) -> String {
        let credentials = renewing.credentials().await.unwrap();
        credentials.access_key_id().to_owned()
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_found_is_kept_until_it_is_forgotten() {
        let (renewing, made) = counted(None);
        for _ in 0..3 {
            assert_eq!(key(&renewing).await, "0");
        }
        renewing.forget();
        assert_eq!(key(&renewing).await, "0", "it was only just found");
        tokio::time::advance(LEAST).await;
        renewing.forget();
        renewing.forget();
        assert_eq!(key(&renewing).await, "1");
        renewing.forget();
        assert_eq!(key(&renewing).await, "1");
        assert_eq!(made.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn others_are_looked_for_before_they_expire() {
        let (renewing, _) = counted(Some(EARLY / 2));
        assert_eq!(key(&renewing).await, "0");
        assert_eq!(key(&renewing).await, "0", "never more often than {LEAST:?}");
        tokio::time::advance(LEAST).await;
        assert_eq!(key(&renewing).await, "1");
    }

    #[tokio::test(start_paused = true)]
    async fn where_no_others_are_found_those_that_live_go_on() {
        let found = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&found);
        let renewing = Renewing::new(move || {
            let first = count.fetch_add(1, Ordering::SeqCst) == 0;
            let expiry = SystemTime::now() + EARLY / 2;
            let credentials = Credentials::new("k", "s", None, Some(expiry), "tests");
            let given = if first {
                Ok(credentials)
            } else {
                Err(CredentialsError::not_loaded("away"))
            };
            async move { provider::SharedCredentialsProvider::new(Given(given)) }
        });
        assert_eq!(key(&renewing).await, "k");
        tokio::time::advance(LEAST).await;
        assert_eq!(key(&renewing).await, "k");
        renewing.forget();
        assert!(renewing.check().await.is_err(), "AWS called them expired");
    }

    #[derive(Debug)]
    struct Given(Result<Credentials, CredentialsError>);

    impl ProvideCredentials for Given {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::ready(match &self.0 {
                Ok(credentials) => Ok(credentials.clone()),
                Err(_) => Err(CredentialsError::not_loaded("away")),
            })
        }
    }
}
