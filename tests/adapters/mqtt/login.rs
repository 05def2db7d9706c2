//! Passwords and TLS.

use std::{path::Path, process::Command};

use isems_core::SourceError;

use super::{
    broker::Mosquitto,
    support::{both_protocols, numbered, ready, settings, start, take, trouble},
};

/// Runs a tool to its end.
fn run(program: &str, package: &str, arguments: &[&str], folder: &Path) {
    let output = Command::new(program).args(arguments).current_dir(folder).output().unwrap_or_else(
        |error| panic!("this test needs {program} ({error}): apt-get install {package}"),
    );
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A broker that lets in only `anna` with the password `p@ss:w/rd`.
async fn broker_with_password() -> Mosquitto {
    let mut broker = Mosquitto::start_with(|folder| {
        let create = ["-c", "-b", "passwords", "anna", "p@ss:w/rd"];
        run("mosquitto_passwd", "mosquitto", &create, folder);
        let file = folder.join("passwords");
        format!("allow_anonymous false\npassword_file {}\n", file.display())
    })
    .await;
    broker.log_in("anna", "p@ss:w/rd");
    broker
}

/// What the broker says to anna.
async fn login_error(
    broker: &Mosquitto,
    login: &str,
    protocol: isems_adapters::mqtt::Protocol,
) -> SourceError {
    let address = format!("mqtt://{login}127.0.0.1:{}", broker.port());
    let mut subscription = start(settings(&address, protocol));
    trouble(&mut subscription).await
}

both_protocols! {
    async fn a_wrong_login_is_told_with_the_variables_to_check(protocol) {
        let broker = broker_with_password().await;
        for login in ["anna:wrong@", "anna@", "berta:p%40ss%3Aw%2Frd@", ""] {
            let error = login_error(&broker, login, protocol).await;
            assert!(matches!(error, SourceError::Refused { .. }), "{login}: {error:?}");
            assert!(error.to_string().contains("MQTT_PASSWORD_FILE"), "{login}: {error}");
            assert!(!error.to_string().contains("wrong"), "{login}: {error}");
        }
    }
}

both_protocols! {
    async fn the_password_of_the_address_opens(protocol) {
        let broker = broker_with_password().await;
        let address = format!("mqtt://anna:p%40ss%3Aw%2Frd@127.0.0.1:{}", broker.port());

        let mut subscription = start(settings(&address, protocol));

        ready(&mut subscription, &broker).await;
    }
}

both_protocols! {
    async fn the_password_of_the_file_opens(protocol) {
        let broker = broker_with_password().await;
        let address = format!("mqtt://anna:wrong@127.0.0.1:{}", broker.port());

        let mut settings = settings(&address, protocol);
        settings.password = Some("p@ss:w/rd".into());
        let mut subscription = start(settings);

        ready(&mut subscription, &broker).await;
    }
}

/// A broker with a certificate for 127.0.0.1, signed by the authority in the
/// file `ca.pem`, and an unencrypted door for the publisher.
async fn broker_with_tls() -> (Mosquitto, u16) {
    let door = std::net::TcpListener::bind(("127.0.0.1", 0))
        .and_then(|socket| socket.local_addr())
        .expect("a free port")
        .port();
    let broker = Mosquitto::start_with(|folder| {
        let openssl = |arguments: &str| {
            let arguments: Vec<&str> = arguments.split(' ').collect();
            run("openssl", "openssl", &arguments, folder);
        };
        std::fs::write(folder.join("san"), "subjectAltName=IP:127.0.0.1\n").expect("written");
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        openssl(&format!(
            "req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=Pruefstelle"
        ));
        openssl(&format!(
            "req {key} -keyout key.pem -out request.pem -subj /CN=broker"
        ));
        openssl(
            "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
             -extfile san -out cert.pem",
        );
        format!(
            "allow_anonymous true\nlistener {door} 127.0.0.1\ncertfile {0}/cert.pem\nkeyfile {0}/key.pem\n",
            folder.display(),
        )
    })
    .await;
    (broker, door)
}

both_protocols! {
    async fn an_authority_of_ones_own_opens_an_encrypted_link(protocol) {
        let (broker, door) = broker_with_tls().await;
        let mut settings = settings(&format!("mqtts://127.0.0.1:{door}"), protocol);
        settings.ca_file = Some(broker.file("ca.pem"));

        let mut subscription = start(settings);
        ready(&mut subscription, &broker).await;
        broker.publish(numbered(1)).await;

        let delivery = take(&mut subscription).await;
        assert_eq!(delivery.payload, b"0");
        assert_eq!(delivery.source.as_str(), format!("mqtts://127.0.0.1:{door}"));
    }
}

both_protocols! {
    async fn an_untrusted_certificate_is_told_with_the_variable_to_set(protocol) {
        let (_broker, door) = broker_with_tls().await;
        let (other, _) = broker_with_tls().await;
        let mut settings = settings(&format!("mqtts://127.0.0.1:{door}"), protocol);
        settings.ca_file = Some(other.file("ca.pem"));

        let mut subscription = start(settings);

        let error = trouble(&mut subscription).await;
        assert!(error.to_string().contains("MQTT_CA_FILE"), "{error}");
    }
}
