//! One connection, from its first byte to its last.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
};

use http_body_util::{BodyExt, Limited};
use hyper::{
    Method, Request, Response, Version,
    body::{Body as _, Incoming},
    header::{CONNECTION, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    body::Held,
    client::Client,
    connections::{Answering, Place},
    guarded_io::GuardedIo,
    service::Service,
    settings::ApiLimits,
};

type Answer = Response<Held<Arc<Answering>>>;

/// Answers the requests of a connection until it ends, `place` must be given
/// up, others wait for what its client does not take, or, once `draining`, the
/// answer under way is written.
pub(super) async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    place: Place,
    service: Arc<Service>,
    draining: CancellationToken,
) {
    // Answers are written whole; waiting for more would only delay them.
    let _ = stream.set_nodelay(true);
    let limits = service.limits();
    let client = Arc::new(Client::at(peer.ip(), limits));
    let io = GuardedIo::new(stream, Arc::clone(&client), limits);
    let (unread, open_ended) = (io.unread(), io.open_ended());
    let answer = |mut request: Request<Incoming>| {
        let busy = place.answering();
        let (service, unread, open_ended, client) = (&service, &unread, &open_ended, &client);
        async move {
            let start = Instant::now();
            let rest = !discard_body(&mut request, service.limits()).await;
            let mut response = service.answer(&request, client).await;
            if rest {
                unread.store(true, Ordering::Relaxed);
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
            }
            if request.version() == Version::HTTP_10
                && request.method() != Method::HEAD
                && response.body().size_hint().exact().is_none()
            {
                // It has neither a length nor chunks: its end is that of the connection.
                open_ended.store(true, Ordering::Relaxed);
            }
            tracing::debug!(
                %peer,
                method = %request.method(),
                target = ?request.uri(),
                status = response.status().as_u16(),
                milliseconds = start.elapsed().as_millis(),
                "answered an API request"
            );
            Ok::<Answer, Infallible>(response.map(|body| Held::new(body, busy)))
        }
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .max_header_size(limits.header_bytes)
        .max_buf_size(limits.header_bytes.max(64 * 1024))
        .serve_connection(TokioIo::new(io), service_fn(answer));
    let mut connection = std::pin::pin!(connection);
    let mut asked_to_end = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    // What a client does wrong is its own affair.
                    tracing::debug!(%peer, %error, "an API connection ended early");
                }
                return;
            }
            () = place.ended().cancelled() => {
                tracing::debug!(%peer, "dropped an idle API connection");
                return;
            }
            () = client.given_up().cancelled() => {
                tracing::debug!(%peer, "dropped an API connection that takes next to nothing while others wait");
                return;
            }
            () = draining.cancelled(), if !asked_to_end => {
                asked_to_end = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Reads a request's body and throws it away, within limits; whether all of it.
async fn discard_body(request: &mut Request<Incoming>, limits: &ApiLimits) -> bool {
    let body = request.body_mut();
    let most = limits.request_body_bytes;
    if body.is_end_stream() {
        return true;
    }
    if body.size_hint().lower() > most as u64 {
        return false;
    }
    let mut body = Limited::new(body, most);
    let all = async {
        while let Some(frame) = body.frame().await {
            if frame.is_err() {
                return false;
            }
        }
        true
    };
    timeout(limits.request_time, all).await.unwrap_or(false)
}
