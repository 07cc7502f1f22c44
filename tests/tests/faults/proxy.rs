//! A TCP proxy that behaves as badly as a network can, and is told how while it runs.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

/// What becomes of the bytes of every connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Weather {
    Clear,
    /// Every piece comes so many milliseconds late.
    Delay(u64),
    /// A direction of a connection ends both after so many bytes.
    CutAfter(usize),
    /// So many bytes a second in each direction; a few make a slow loris.
    Throttle(usize),
    /// The answer is swallowed, and the side that answers is closed.
    HalfClose,
    /// Connections are ended at once; those that are open, with their next byte.
    Refuse,
    /// Connections end with a reset (RST) after so many bytes in one direction.
    ResetAfter(usize),
}

/// Stands before one server.
pub(crate) struct Proxy {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
}

impl Proxy {
    /// Listens on loopback; `upstream` is the server's `http://host:port`.
    pub(crate) async fn start(upstream: &str) -> Self {
        let upstream = upstream.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (weather, seen) = watch::channel(Weather::Clear);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *seen.borrow() == Weather::Refuse {
                    continue;
                }
                tokio::spawn(connect(client, upstream.clone(), seen.clone()));
            }
        });
        Self { address, weather }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn turn(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }
}

async fn connect(client: TcpStream, upstream: String, weather: watch::Receiver<Weather>) {
    let Ok(server) = TcpStream::connect(upstream).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let asking = pass(from_client, to_server, weather.clone(), false);
    let answering = pass(from_server, to_client, weather, true);
    // Whichever direction breaks takes the other with it; one that merely ends does not.
    let _ = tokio::try_join!(asking, answering);
}

/// Passes bytes on until the sender has no more. An error ends the whole connection.
async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    weather: watch::Receiver<Weather>,
    answers: bool,
) -> Result<(), ()> {
    let mut piece = vec![0; 16 << 10];
    let mut passed = 0;
    loop {
        let read = from.read(&mut piece).await.map_err(drop)?;
        if read == 0 {
            return to.shutdown().await.map_err(drop);
        }
        let mut bytes = &piece[..read];
        let now = *weather.borrow();
        match now {
            Weather::Delay(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
            Weather::CutAfter(limit) if passed + read > limit => {
                let _ = to.write_all(&bytes[..limit.saturating_sub(passed)]).await;
                return Err(());
            }
            Weather::Throttle(per_second) => {
                let step = (per_second / 10).max(1);
                while bytes.len() > step && *weather.borrow() == now {
                    to.write_all(&bytes[..step]).await.map_err(drop)?;
                    bytes = &bytes[step..];
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
            Weather::HalfClose if answers => return to.shutdown().await.map_err(drop),
            Weather::ResetAfter(limit) if passed + read > limit => {
                let sides: [&TcpStream; 2] = [from.as_ref(), to.as_ref()];
                for side in sides {
                    // What is closed like this sends a reset, and forgets what was not sent.
                    side.set_zero_linger().map_err(drop)?;
                }
                return Err(());
            }
            Weather::Clear | Weather::CutAfter(_) | Weather::HalfClose | Weather::ResetAfter(_) => {
            }
            Weather::Refuse => return Err(()),
        }
        to.write_all(bytes).await.map_err(drop)?;
        passed += read;
    }
}
