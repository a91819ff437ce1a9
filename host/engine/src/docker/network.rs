//! An app's network, and the subnets that are taken.

use super::{CHANGE, Docker, Failure, LOOK};
use crate::names;
use crate::{Error, Foreign, Outcome};
use bollard::models::{
    EndpointSettings, Ipam, IpamConfig, Network, NetworkConnectRequest, NetworkCreateRequest,
};
use bollard::query_parameters::ListNetworksOptionsBuilder;
use doprax_core::name::AppName;
use doprax_core::subnet::overlap;
use ipnet::Ipv4Net;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long someone else's creation of the same network may take.
const CREATION: Duration = Duration::from_secs(5);

/// The bridge driver's option for the largest packet.
const MTU: &str = "com.docker.network.driver.mtu";

/// How often its end is looked for.
const POLL: Duration = Duration::from_millis(50);

/// The network of the app exists with another subnet.
#[derive(Debug, thiserror::Error)]
#[error(
    "it exists with the subnet {found}, not {wanted}; remove the app's containers and network first"
)]
struct OtherSubnet {
    found: String,
    wanted: Ipv4Net,
}

/// The first IPv4 subnet of a network.
pub(super) fn subnet(network: &Network) -> Option<Ipv4Net> {
    subnets(network).next()
}

fn subnets(network: &Network) -> impl Iterator<Item = Ipv4Net> {
    let configs = network
        .ipam
        .iter()
        .filter_map(|ipam| ipam.config.as_ref())
        .flatten();
    configs.filter_map(|config| config.subnet.as_ref()?.parse().ok())
}

/// Whether the engine says that the subnet is another network's.
fn is_overlap(failure: &Failure) -> bool {
    failure.message().to_ascii_lowercase().contains("overlap")
}

impl Docker {
    /// Creates the app's bridge network. The engine keeps the networks apart; within
    /// one, containers reach each other.
    pub(super) async fn create_network(
        &self,
        app: &AppName,
        wanted: Ipv4Net,
        mtu: Option<u32>,
    ) -> Result<Outcome, Error> {
        let action = || format!("create the network of {app}");
        // Looked for first: an old engine lets two networks have one name.
        if let Some(outcome) = self.existing_network(app, wanted).await? {
            return Ok(outcome);
        }
        let request = NetworkCreateRequest {
            name: names::network(&self.instance, app),
            driver: Some("bridge".to_owned()),
            ipam: Some(Ipam {
                config: Some(vec![IpamConfig {
                    subnet: Some(wanted.to_string()),
                    ..IpamConfig::default()
                }]),
                ..Ipam::default()
            }),
            options: mtu.map(|mtu| HashMap::from([(MTU.to_owned(), mtu.to_string())])),
            labels: Some(self.labels(app)),
            ..NetworkCreateRequest::default()
        };
        match self
            .within(CHANGE, self.client.create_network(request))
            .await
        {
            Ok(_) => Ok(Outcome::Done),
            // An act of a host that ended in the middle may still be under way: its
            // subnet is taken before it can be seen.
            Err(failure @ Failure::Refused { .. }) => {
                let end = Instant::now() + CREATION;
                loop {
                    if let Some(outcome) = self.existing_network(app, wanted).await? {
                        return Ok(outcome);
                    }
                    // Another's network is seen at once, one that is being made is not.
                    let taken = is_overlap(&failure)
                        && (self.is_taken(wanted).await? || Instant::now() > end);
                    if taken {
                        return Err(Error::SubnetTaken { subnet: wanted });
                    }
                    if Instant::now() > end {
                        return Err(self.error(failure, action()));
                    }
                    tokio::time::sleep(POLL).await;
                }
            }
            Err(failure) => Err(self.error(failure, action())),
        }
    }

    /// Whether a network of the engine has some of these addresses.
    async fn is_taken(&self, wanted: Ipv4Net) -> Result<bool, Error> {
        let subnets = self.list_subnets().await?;
        Ok(subnets.iter().any(|subnet| overlap(subnet, &wanted)))
    }

    /// Connects a container to the app's network, under its second names.
    pub(super) async fn connect_container(
        &self,
        app: &AppName,
        container: &str,
        aliases: &[String],
    ) -> Result<Outcome, Error> {
        let request = NetworkConnectRequest {
            container: container.to_owned(),
            endpoint_config: Some(EndpointSettings {
                aliases: Some(aliases.to_vec()),
                ..EndpointSettings::default()
            }),
        };
        let network = names::network(&self.instance, app);
        let connected = self.client.connect_network(&network, request);
        match self.within(CHANGE, connected).await {
            Ok(()) => Ok(Outcome::Done),
            Err(failure) if failure.message().contains("already exists in network") => {
                Ok(Outcome::AlreadyDone)
            }
            Err(failure) => Err(self.container_error(failure, "connect container", container)),
        }
    }

    async fn existing_network(
        &self,
        app: &AppName,
        wanted: Ipv4Net,
    ) -> Result<Option<Outcome>, Error> {
        let networks = self
            .list_networks_by(self.instance_filter(Some(app)))
            .await
            .map_err(|failure| self.error(failure, format!("look for the network of {app}")))?;
        let Some(network) = networks.first() else {
            return Ok(None);
        };
        if !network
            .labels
            .as_ref()
            .is_some_and(|labels| self.is_ours(labels))
        {
            let action = format!("create the network of {app}");
            return Err(self.error(Failure::Foreign(Foreign::App), action));
        }
        let found = subnet(network);
        if found == Some(wanted) {
            return Ok(Some(Outcome::AlreadyDone));
        }
        let found = found.map_or_else(|| "none".to_owned(), |found| found.to_string());
        let other = Failure::other(OtherSubnet { found, wanted });
        Err(self.error(other, format!("create the network of {app}")))
    }

    /// This host's networks of one app, or of all apps.
    pub(super) async fn list_networks(
        &self,
        app: Option<&AppName>,
    ) -> Result<Vec<Network>, Failure> {
        self.list_networks_by(self.filter(app)).await
    }

    async fn list_networks_by(
        &self,
        filters: HashMap<String, Vec<String>>,
    ) -> Result<Vec<Network>, Failure> {
        let options = ListNetworksOptionsBuilder::default()
            .filters(&filters)
            .build();
        self.within(LOOK, self.client.list_networks(Some(options)))
            .await
    }

    /// Removes the app's network.
    pub(super) async fn remove_network(&self, app: &AppName) -> Result<Outcome, Error> {
        let action = || format!("remove the network of {app}");
        let networks = self
            .list_networks(Some(app))
            .await
            .map_err(|failure| self.error(failure, action()))?;
        let mut outcome = Outcome::AlreadyDone;
        for id in networks.into_iter().filter_map(|network| network.id) {
            match self.within(CHANGE, self.client.remove_network(&id)).await {
                Ok(()) => outcome = Outcome::Done,
                Err(failure) if failure.is(404) => {}
                Err(failure) => return Err(self.error(failure, action())),
            }
        }
        Ok(outcome)
    }

    /// Subnets of all networks of the engine.
    pub(super) async fn list_subnets(&self) -> Result<Vec<Ipv4Net>, Error> {
        let networks = self
            .within(LOOK, self.client.list_networks(None))
            .await
            .map_err(|failure| self.error(failure, "list the engine's networks"))?;
        Ok(networks.iter().flat_map(subnets).collect())
    }
}
