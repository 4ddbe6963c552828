//! Ports, bridges, names.

use crate::section::{Scenario, scenario};
use crate::shell::{gives, run, sh, until};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        scenario("-p, two containers both on port 80", two_on_one_port),
        scenario("two containers talk over docker0; veth; ports free again", bridge),
        scenario("Apache in Debian behind -p 8080:80", apache),
        scenario("user-defined network, name resolution, network connect", user_network),
        scenario("network none, host, container:", other_networks),
    ]
}

fn two_on_one_port() {
    for (name, port) in [("web1", 8082), ("web2", 8081)] {
        sh(&format!(
            "docker run -d --name {name} -p {port}:80 bb sh -c 'echo I am {name} >/www/index.html; exec httpd -f -p 80 -h /www'"
        ));
    }
    for (name, port) in [("web1", 8082), ("web2", 8081)] {
        until(&format!("[ \"$(curl -sm 2 http://127.0.0.1:{port}/)\" = 'I am {name}' ]"));
    }
    gives("docker port web2 | sed -n 1p", "80/tcp -> 0.0.0.0:8081");
    sh("docker rm -f web1 web2");
}

fn bridge() {
    sh("docker run -d --name talk1 -p 8090:80 bb httpd -f -p 80 -h /www");
    let ip = sh("docker inspect -f '{{.NetworkSettings.IPAddress}}' talk1");
    until(&format!("docker run --rm bb wget -qO- http://{ip}/ | grep 'it works'"));
    sh("ip -o link show type veth | grep 'master docker0'");
    sh("docker run --rm bb ip -o link show dev eth0");
    sh("docker rm -f talk1");
    until("! curl -sm 1 http://127.0.0.1:8090/");
    sh("docker run -d --name talk2 -p 8090:80 bb sleep 600; docker rm -f talk2");
}

fn apache() {
    sh("docker run -d --name apache -p 8080:80 debian apachectl -D FOREGROUND");
    until("curl -sm 2 http://127.0.0.1:8080/ | grep 'Apache2 Debian Default Page'");
    sh("docker top apache | grep www-data");
    sh("docker stop -t 5 apache; docker rm apache");
}

fn user_network() {
    sh("docker network create --subnet 172.31.9.0/24 named");
    sh("docker run -d --name server --network named bb httpd -f -p 80 -h /www");
    until("docker run --rm --network named bb wget -qO- http://server/ | grep 'it works'");
    sh("docker network create --subnet 172.31.10.0/24 other");
    sh("docker run -d --name late --network other bb sleep 600");
    assert_ne!(run("docker exec late timeout 3 wget -qO- http://server/").code, 0);
    sh("docker network connect named late");
    until("docker exec late timeout 3 wget -qO- http://server/ | grep 'it works'");
    sh("docker network disconnect named late");
    assert_ne!(run("docker exec late timeout 3 wget -qO- http://server/").code, 0);
    sh("docker rm -f server late; docker network rm named other");
}

fn other_networks() {
    gives("docker run --rm --network none bb ls /sys/class/net", "lo");
    gives(
        "docker run --rm --network host bb readlink /proc/self/ns/net",
        &sh("readlink /proc/self/ns/net"),
    );
    sh("docker run -d --name netof bb sleep 600");
    gives(
        "docker run --rm --network container:netof bb readlink /proc/self/ns/net",
        &sh("docker exec netof readlink /proc/self/ns/net"),
    );
    sh("docker rm -f netof");
}
