//! The guestbook: a folder like that of any app.

use super::Error;
use super::images::Images;
use std::fs;
use std::path::Path;

const DOCKERFILE: &str = include_str!("../../assets/quickstart/app/Dockerfile");
const MANIFEST: &str = include_str!("../../assets/quickstart/app/doprax.yaml");
const FILES: [(&str, &str); 3] = [
    ("app.py", include_str!("../../assets/quickstart/app/app.py")),
    (
        "page.html",
        include_str!("../../assets/quickstart/app/page.html"),
    ),
    (
        ".dockerignore",
        include_str!("../../assets/quickstart/app/.dockerignore"),
    ),
];

/// The app's name.
pub(crate) const NAME: &str = "guestbook";

/// Writes the guestbook's source to `folder`, made from `images`. A file that is there
/// already is left as it is, for it may have been changed by the person who tries it.
pub(crate) fn write(folder: &Path, images: Images) -> Result<(), Error> {
    let failed = |path: &Path, source| Error::Write {
        path: path.to_owned(),
        source,
    };
    fs::create_dir_all(folder).map_err(|source| failed(folder, source))?;
    let manifest = manifest(images);
    let dockerfile = dockerfile(images);
    let made = [
        ("Dockerfile", dockerfile.as_str()),
        ("doprax.yaml", manifest.as_str()),
    ];
    for (name, content) in FILES.into_iter().chain(made) {
        let path = folder.join(name);
        if !path.exists() {
            fs::write(&path, content).map_err(|source| failed(&path, source))?;
        }
    }
    Ok(())
}

fn dockerfile(images: Images) -> String {
    DOCKERFILE.replace(Images::Official.python(), images.python())
}

fn manifest(images: Images) -> String {
    match images {
        Images::Official => MANIFEST.to_owned(),
        Images::Built => MANIFEST.replace(
            "      tag: 7\n",
            &format!("      image: {}\n", images.redis()),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_a_whole_app_and_names_the_images_it_is_given() {
        for images in [Images::Official, Images::Built] {
            let folder = tempfile::tempdir().unwrap();
            write(folder.path(), images).unwrap();
            let read = |name| fs::read_to_string(folder.path().join(name)).unwrap();
            assert!(read("Dockerfile").starts_with(&format!("FROM {}\n", images.python())));
            assert!(read("doprax.yaml").contains(&format!("app: {NAME}\n")));
            assert_eq!(
                read("doprax.yaml").contains("image: "),
                images == Images::Built
            );
            assert!(read("app.py").contains("page.html"));
            assert!(read("page.html").contains("{entries}"));
        }
        assert!(manifest(Images::Built).contains(Images::Built.redis()));
        assert!(MANIFEST.contains("tag: 7\n") && Images::Official.redis().ends_with(":7"));
    }

    #[test]
    fn what_was_changed_by_hand_stays() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("page.html"), "mine").unwrap();
        write(folder.path(), Images::Built).unwrap();
        assert_eq!(
            fs::read_to_string(folder.path().join("page.html")).unwrap(),
            "mine"
        );
    }
}
