//! MQTT 3.1.1.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, MqttOptions, Outgoing,
    Packet, Publish, QoS, StateError, SubscribeFilter, SubscribeReasonCode, mqttbytes::Error,
};
use rustls::ClientConfig;

use super::{
    CONNECT_LIMIT, Granted, Happening, Link, MAX_PACKET, Mark, Message, OUTGOING, REQUESTS,
    Requests, transport,
};
use crate::mqtt::{
    MqttSettings, Protocol, TopicFilter,
    ending::{Ending, EndingKind, Refusal},
};

pub(super) struct V311Link {
    events: EventLoop,
    client: AsyncClient,
    connected: bool,
}

impl V311Link {
    pub(super) fn new(
        settings: &MqttSettings,
        tls: Option<&Arc<ClientConfig>>,
        fresh: bool,
    ) -> Self {
        let broker = &settings.broker;
        let mut options = MqttOptions::new(&settings.client_id, broker.host(), broker.port());
        let limit = MAX_PACKET as usize;
        options
            .set_clean_session(fresh)
            .set_keep_alive(settings.keep_alive)
            .set_manual_acks(true)
            .set_inflight(OUTGOING)
            .set_max_packet_size(limit, limit)
            .set_transport(transport(tls));
        if let Some((user, password)) = settings.login() {
            options.set_credentials(user, password);
        }

        let (client, mut events) = AsyncClient::new(options, REQUESTS);
        let mut network = events.network_options();
        network.set_tcp_nodelay(true);
        network.set_connection_timeout(CONNECT_LIMIT.as_secs());
        events.set_network_options(network);
        Self { events, client, connected: false }
    }
}

#[async_trait]
impl Link for V311Link {
    async fn poll(&mut self) -> Result<Happening, Ending> {
        let event = match self.events.poll().await {
            Ok(event) => event,
            Err(error) => return Err(ending(error, self.connected)),
        };
        Ok(match event {
            Event::Incoming(Packet::ConnAck(answer)) => {
                self.connected = true;
                Happening::Connected { resumed: answer.session_present }
            }
            Event::Incoming(Packet::SubAck(answer)) => {
                Happening::Subscribed(answer.return_codes.into_iter().map(granted).collect())
            }
            Event::Incoming(Packet::Publish(publish)) => Happening::Message(message(&publish)),
            Event::Outgoing(Outgoing::Disconnect) => Happening::Disconnected,
            _ => Happening::Other,
        })
    }

    fn subscribe(&self, filters: &[TopicFilter]) -> Result<(), Ending> {
        let filters = filters
            .iter()
            .map(|filter| SubscribeFilter::new(filter.as_str().to_owned(), QoS::AtLeastOnce));
        self.client.try_subscribe_many(filters).map_err(|error| {
            Ending::new(EndingKind::Lost, "the subscription cannot be sent").because(error)
        })
    }

    fn requests(&self) -> Arc<dyn Requests> {
        Arc::new(V311Requests(self.client.clone()))
    }

    fn leftovers(&mut self) -> Vec<Message> {
        let events = self.events.state.events.drain(..);
        events
            .filter_map(|event| match event {
                Event::Incoming(Packet::Publish(publish)) => Some(message(&publish)),
                _ => None,
            })
            .collect()
    }

    fn pulse(&self) -> Duration {
        CONNECT_LIMIT.max(self.events.mqtt_options.keep_alive())
    }
}

struct V311Requests(AsyncClient);

impl Requests for V311Requests {
    fn acknowledge(&self, mark: Mark) {
        let qos = if mark.exactly_once { QoS::ExactlyOnce } else { QoS::AtLeastOnce };
        let mut publish = Publish::new("", qos, Vec::new());
        publish.pkid = mark.packet_id;
        // Fails only when the link is gone: the message comes again.
        self.0.try_ack(&publish).ok();
    }

    fn disconnect(&self) {
        self.0.try_disconnect().ok();
    }
}

fn message(publish: &Publish) -> Message {
    Message {
        size: publish.size(),
        mark: (publish.qos != QoS::AtMostOnce).then_some(Mark {
            packet_id: publish.pkid,
            exactly_once: publish.qos == QoS::ExactlyOnce,
        }),
        topic: Some(publish.topic.clone()),
        payload: publish.payload.to_vec(),
        duplicate: publish.dup,
        retained: publish.retain,
    }
}

fn granted(code: SubscribeReasonCode) -> Granted {
    match code {
        SubscribeReasonCode::Success(qos) => Ok(qos != QoS::AtMostOnce),
        SubscribeReasonCode::Failure => Err("no reason given".into()),
    }
}

fn ending(error: ConnectionError, connected: bool) -> Ending {
    match error {
        ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout => Ending::no_answer(),
        ConnectionError::Tls(error) => Ending::tls(error),
        ConnectionError::Io(error) if !connected => {
            Ending::new(EndingKind::Unreachable, "no connection to the broker").because(error)
        }
        ConnectionError::Io(error)
        | ConnectionError::MqttState(
            StateError::Io(error) | StateError::Deserialization(Error::Io(error)),
        ) => Ending::io(error),
        ConnectionError::ConnectionRefused(code) => Ending::refused(&refusal(code), Protocol::V311),
        ConnectionError::MqttState(StateError::ConnectionAborted) if !connected => Ending::new(
            EndingKind::Unreachable,
            "the broker closes the connection without an answer",
        ),
        ConnectionError::MqttState(StateError::ConnectionAborted) => Ending::closed_by_peer(),
        ConnectionError::MqttState(StateError::AwaitPingResp) => {
            Ending::new(EndingKind::Lost, "the broker does not answer any more")
        }
        ConnectionError::MqttState(StateError::Deserialization(
            Error::PayloadSizeLimitExceeded(bytes),
        )) => Ending::too_large(bytes),
        ConnectionError::MqttState(StateError::Deserialization(Error::TopicNotUtf8)) => {
            Ending::topic_not_text()
        }
        other => {
            Ending::new(EndingKind::Lost, "the broker sent what is no MQTT 3.1.1").because(other)
        }
    }
}

fn refusal(code: ConnectReturnCode) -> Refusal {
    use ConnectReturnCode as Code;
    match code {
        Code::BadUserNamePassword | Code::NotAuthorized => Refusal::Login,
        Code::RefusedProtocolVersion => Refusal::Protocol,
        Code::BadClientId => Refusal::ClientId,
        other => Refusal::Other(format!("{other:?}")),
    }
}
