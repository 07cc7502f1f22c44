//! A HEC collector that accepts everything.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Bytes, extract::DefaultBodyLimit};
use tokio::net::TcpListener;

/// The collector; it ends with the runtime.
pub(crate) struct Collector {
    url: String,
    bytes: Arc<AtomicU64>,
}

impl Collector {
    /// Listens on loopback, and answers after so long.
    pub(crate) async fn start(after: Duration) -> Self {
        let bytes = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&bytes);
        let accept = move |body: Bytes| {
            counted.fetch_add(body.len() as u64, Ordering::Relaxed);
            async move {
                if !after.is_zero() {
                    tokio::time::sleep(after).await;
                }
                r#"{"text":"Success","code":0}"#
            }
        };
        let router = Router::new()
            .fallback(accept)
            .layer(DefaultBodyLimit::disable());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, bytes }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Of all bodies, as sent.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}
