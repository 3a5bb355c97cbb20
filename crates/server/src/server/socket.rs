//! Sockets of the listeners: TCP or unix.
//!
//! Knows: addresses and socket files. Must not know: what is served, or TLS.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

use picket_core::identity::SpiffeId;

/// Connections that the kernel may hold until they are accepted.
const BACKLOG: i32 = 4096;
/// Owner and group may connect: the proxy runs as another user of the same group.
const SOCKET_MODE: u32 = 0o660;

/// The address of a listener.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub enum Address {
    /// An IP address and a port; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// A socket file.
    Unix(PathBuf),
}

/// Why a text is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an address; give `127.0.0.1:9191`, `[::1]:9191` or `unix:/path`")]
pub struct AddressProblem(String);

impl Address {
    /// Returns whether only this machine can connect.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl FromStr for Address {
    type Err = AddressProblem;

    fn from_str(text: &str) -> Result<Self, AddressProblem> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = Path::new(path);
            return path.is_absolute().then(|| Self::Unix(path.to_owned())).ok_or(AddressProblem(text.to_owned()));
        }
        text.parse().map(Self::Tcp).map_err(|_not_ip| AddressProblem(text.to_owned()))
    }
}

impl TryFrom<String> for Address {
    type Error = AddressProblem;

    fn try_from(text: String) -> Result<Self, AddressProblem> {
        text.parse()
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// The peer of a connection; an extension of every request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// Any client of a TCP listener without TLS.
    Tcp(SocketAddr),
    /// A process on this machine that may open the socket file.
    Unix,
    /// A workload with a certificate that was verified and admitted.
    Workload(SpiffeId),
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix => write!(f, "a process on this machine"),
            Self::Workload(id) => write!(f, "{id}"),
        }
    }
}

/// A byte stream over any transport.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A byte stream over any transport.
pub type BoxIo = Box<dyn Io>;

/// A source of connections.
pub trait Accept: Send + 'static {
    /// The next connection. The future may be dropped and called again.
    fn accept(&mut self) -> impl Future<Output = io::Result<(BoxIo, Peer)>> + Send;
}

/// A bound socket.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A socket file, which is removed with the listener.
    Unix(UnixListener, SocketFile),
}

impl Listener {
    /// Binds `address`.
    ///
    /// # Errors
    /// The system's, or one that names a unix socket path that is in use or not a socket.
    pub fn bind(address: &Address) -> io::Result<Self> {
        match address {
            Address::Tcp(address) => Ok(Self::Tcp(TcpListener::from_std(bind_port(*address)?)?)),
            Address::Unix(path) => {
                let (listener, file) = bind_file(path)?;
                Ok(Self::Unix(UnixListener::from_std(listener)?, file))
            }
        }
    }

    /// The bound address, with the port that the system chose.
    ///
    /// # Errors
    /// The system's.
    pub fn address(&self) -> io::Result<Address> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(Address::Tcp),
            Self::Unix(_, file) => Ok(Address::Unix(file.path.clone())),
        }
    }
}

impl Accept for Listener {
    async fn accept(&mut self) -> io::Result<(BoxIo, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                // Answers are small and awaited; a socket without the option still works.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "could not set TCP_NODELAY");
                }
                Ok((Box::new(stream), Peer::Tcp(address)))
            }
            Self::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                Ok((Box::new(stream), Peer::Unix))
            }
        }
    }
}

/// Our socket file. It is removed when dropped, unless another process has replaced it.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    device_and_inode: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = std::fs::symlink_metadata(&self.path).is_ok_and(|m| (m.dev(), m.ino()) == self.device_and_inode);
        if ours && let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "could not remove our socket file");
        }
    }
}

fn bind_port(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    // As in the standard library: a restart must not wait for connections of the previous process.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    // The standard library's queue of 128 fills up in a moment when many clients connect, and then no client gets
    // through.
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn bind_file(path: &Path) -> io::Result<(std::os::unix::net::UnixListener, SocketFile)> {
    remove_stale(path)?;
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    socket.bind(&socket2::SockAddr::unix(path)?)?;
    // No client can connect between bind and listen, so the mode is right before the first connection.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(SOCKET_MODE))?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    let metadata = std::fs::symlink_metadata(path)?;
    let file = SocketFile { path: path.to_owned(), device_and_inode: (metadata.dev(), metadata.ino()) };
    Ok((OwnedFd::from(socket).into(), file))
}

/// Removes a socket file without a listener; anything else at its path stays.
fn remove_stale(path: &Path) -> io::Result<()> {
    let metadata = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let in_use = |why: &str| io::Error::new(io::ErrorKind::AddrInUse, format!("`{}` {why}", path.display()));
    if !metadata.file_type().is_socket() {
        return Err(in_use("exists and is not a socket; remove it or choose another path"));
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        Err(error) => Err(error),
        Ok(_) => Err(in_use("is in use by another process")),
    }
}
