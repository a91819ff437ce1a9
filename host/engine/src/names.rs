//! What the objects of apps are called on the engine, and whose such a name is.

use doprax_core::blueprint::sha256_hex;
use doprax_core::copy::CopyName;
use doprax_core::name::{AppName, Instance, ServiceName, VolumeName};

/// The name of a container; also its hostname, so that one that serves is found by the name
/// of its service. The underscore keeps others apart from every service's own name.
pub fn container(instance: &Instance, app: &AppName, copy: &CopyName) -> String {
    let domain = instance.domain(app);
    match copy {
        CopyName::Serving(service) => format!("{service}.{domain}"),
        CopyName::Spare(service, digits) => format!("{service}_{digits}.{domain}"),
        CopyName::Foreign(name) => name.clone(),
    }
}

/// The copy that a container of an app is by its name, which is what [`container`] makes of it.
pub fn copy(instance: &Instance, app: &AppName, name: &str) -> CopyName {
    let domain = instance.domain(app);
    let within = name
        .strip_suffix(&domain)
        .and_then(|it| it.strip_suffix('.'));
    let known = within.and_then(|within| match within.split_once('_') {
        None => Some(CopyName::Serving(ServiceName::new(within).ok()?)),
        Some((service, digits)) => {
            let service = ServiceName::new(service).ok()?;
            Some(CopyName::Spare(service, digits.to_owned()))
        }
    });
    known.unwrap_or_else(|| CopyName::Foreign(name.to_owned()))
}

/// The name of an app's network.
pub fn network(instance: &Instance, app: &AppName) -> String {
    format!("{}{app}", instance.prefix())
}

/// The app whose network or volume has this name.
pub fn owner(instance: &Instance, name: &str) -> Option<AppName> {
    let rest = name.strip_prefix(&instance.prefix())?;
    // No app's name has an underscore.
    AppName::new(rest.split('_').next()?).ok()
}

/// The name of a volume: readable, and unique through a digest of the exact name, because an
/// engine allows only `[a-zA-Z0-9][a-zA-Z0-9_.-]`.
pub fn volume(instance: &Instance, app: &AppName, volume: &VolumeName) -> String {
    let readable = |c: char| match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-' => c.to_ascii_lowercase(),
        _ => '-',
    };
    let text: String = volume.as_str().chars().map(readable).take(40).collect();
    let digest = sha256_hex(volume.as_str().as_bytes());
    format!("{}{app}_{text}_{}", instance.prefix(), &digest[..10])
}

/// Reference by which the image of this id (`sha256:…`) is kept for the releases of an app,
/// whatever else it is called meanwhile.
pub fn kept_image(instance: &Instance, app: &AppName, id: &str) -> String {
    let hex = id.strip_prefix("sha256:").unwrap_or(id);
    let short: String = hex.chars().take(32).collect();
    format!("{}{app}/kept:{short}", instance.prefix())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_known_by_their_names() {
        let app = AppName::new("shop").unwrap();
        let redis = ServiceName::new("redis").unwrap();
        let two = Instance::named(AppName::new("two").unwrap());
        let incomplete = ServiceName::new("incomplete").unwrap();
        let foreign = |name: &str| CopyName::Foreign(name.to_owned());
        let cases = [
            ("redis.shop.internal", CopyName::serving(&redis)),
            (
                "redis_0123456789ab.shop.internal",
                CopyName::spare(&redis, "0123456789abcdef"),
            ),
            (
                "incomplete_redis.shop.internal",
                CopyName::Spare(incomplete, "redis".to_owned()),
            ),
            (
                "redis.shop.two.internal",
                foreign("redis.shop.two.internal"),
            ),
            ("redis", foreign("redis")),
            (".shop.internal", foreign(".shop.internal")),
            ("redisshop.internal", foreign("redisshop.internal")),
        ];
        for (name, expected) in cases {
            let plain = Instance::default();
            assert_eq!(copy(&plain, &app, name), expected);
            assert_eq!(container(&plain, &app, &expected), name);
        }
        let named = container(&two, &app, &CopyName::serving(&redis));
        assert_eq!(named, "redis.shop.two.internal");
        assert_eq!(copy(&two, &app, &named), CopyName::serving(&redis));
    }

    #[test]
    fn names_tell_apps_and_hosts_apart() {
        let app = AppName::new("shop").unwrap();
        let data = VolumeName::new("My Data").unwrap();
        let plain = Instance::default();
        let other = Instance::named(AppName::new("two").unwrap());
        let id = format!("sha256:{}", "0123456789abcdef".repeat(4));
        let names = |instance: &Instance| {
            [
                network(instance, &app),
                volume(instance, &app, &data),
                kept_image(instance, &app, &id),
                kept_image(instance, &app, "abc"),
            ]
        };
        assert_eq!(
            names(&plain),
            [
                "doprax-shop",
                "doprax-shop_my-data_79e53b9f38",
                "doprax-shop/kept:0123456789abcdef0123456789abcdef",
                "doprax-shop/kept:abc",
            ]
        );
        assert_eq!(
            names(&other),
            [
                "doprax.two-shop",
                "doprax.two-shop_my-data_79e53b9f38",
                "doprax.two-shop/kept:0123456789abcdef0123456789abcdef",
                "doprax.two-shop/kept:abc",
            ]
        );
        for instance in [&plain, &other] {
            for name in [volume(instance, &app, &data), network(instance, &app)] {
                assert_eq!(owner(instance, &name), Some(app.clone()));
            }
        }
        assert_eq!(owner(&plain, &volume(&other, &app, &data)), None);
        assert_eq!(owner(&plain, "bridge"), None);
    }
}
