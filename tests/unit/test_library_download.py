"""Fetching weights from a real web server on this machine that behaves badly when told to."""

import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.errors import Cancelled
from engine.library.catalog import FAMILIES, HUB, Family, Part, Source
from engine.library.download import Progress, download
from engine.library.download_file import Patience
from engine.library.download_offer import (
    DownloadError,
    Offer,
    Places,
    address,
    offer,
    share,
    size_text,
)
from tests.support.loopback import (
    BODY,
    SHA256,
    SIZE,
    Fault,
    Handler,
    Site,
    answer,
    chunked,
    cut,
    page,
    serving,
    stall,
    status,
    weights,
)

BRISK = Patience(stall_s=0.3, tries=3, pause_s=0.01)


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as made:
        yield made


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "weights"


def ask(
    site: Site, folder: Path, *, sha256: str = "", file: str = "sub/model.safetensors", **more: Any
) -> Offer:
    source = Source("Wan-AI/Test", file, HUB + "Wan-AI/Test", "Apache-2.0", SIZE, sha256)
    part = Part(
        "vae", "VAE 2.1", ("wan2.1_vae",), (msgspec.structs.replace(source, **more),), "vae"
    )
    family = Family("test", "Test", "Upscale", (part,))
    return offer(family, part, folder, places=Places(hub=site.url, github=site.url))


def quiet(progress: Progress) -> None:
    """Hears it and does nothing."""


def fetch(item: Offer, patience: Patience = BRISK) -> Path:
    (path,) = download([item], quiet, patience)
    return path


def refusal(item: Offer, patience: Patience = BRISK) -> DownloadError:
    """The error of fetching `item`, which always says where the file must lie."""
    with pytest.raises(DownloadError) as caught:
        fetch(item, patience)
    assert str(item.target) in caught.value.hint
    assert item.source.page in caught.value.hint
    return caught.value


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_an_offer_says_size_source_licence_and_place_without_asking_the_network(
    folder: Path,
) -> None:
    family = next(f for f in FAMILIES if f.name == "wan2.1-i2v-14b")
    image = next(part for part in family.parts if part.name == "image")
    made = offer(family, image, folder)
    free = size_text(made.free_bytes or 0)
    assert made.line == (
        "1.3 GB from Comfy-Org on Hugging Face, Apache-2.0, into weights / clip_vision. "
        f"{free} free."
    )
    assert made.url == (
        "https://huggingface.co/Comfy-Org/Wan_2.1_ComfyUI_repackaged/resolve/main/"
        "split_files/clip_vision/clip_vision_h.safetensors"
    )
    assert made.target == folder / "clip_vision" / "clip_vision_h.safetensors"
    assert not folder.exists()


def test_a_choice_of_sources_is_made_by_its_label(folder: Path) -> None:
    family = next(f for f in FAMILIES if f.name == "wan2.1-t2v-14b")
    made = offer(family, family.parts[0], folder, label="bf16")
    assert made.target.name == "wan2.1_t2v_14B_bf16.safetensors"


def test_the_prompt_of_flashvsr_comes_from_github() -> None:
    prompt = next(part for part in FAMILIES[0].parts if part.name == "prompt")
    assert address(prompt.sources[0], Places()) == (
        "https://github.com/OpenImagingLab/FlashVSR/raw/main/"
        "examples/WanVSR/prompt_tensor/posi_prompt.pth"
    )


@pytest.mark.parametrize("mirror", ["", "hf-mirror.com", "file:///etc", "https://", "http://[x"])
def test_a_mirror_that_is_no_web_address_is_told(mirror: str) -> None:
    source = FAMILIES[0].parts[0].sources[0]
    with pytest.raises(DownloadError, match="is no address to download from"):
        address(source, Places(hub=mirror))


def test_sizes_read_as_people_write_them() -> None:
    assert share(4_800_000_000, 14_300_000_000) == "4.8 of 14.3 GB"
    assert share(3_000_000, 4_200_000) == "3.0 of 4.2 MB"
    assert share(3_000_000, 4_200_000_000) == "3.0 MB of 4.2 GB"
    assert size_text(318_400_000_000) == "318 GB"


def test_a_file_comes_whole_and_under_its_name_only_at_the_end(site: Site, folder: Path) -> None:
    heard: list[Progress] = []
    item = ask(site, folder, sha256=SHA256)

    def tell(progress: Progress) -> None:
        heard.append(progress)
        assert not item.target.exists()

    assert download([item], tell, BRISK) == (item.target,)
    assert item.target.read_bytes() == BODY
    assert names(folder) == ["model.safetensors"]
    assert site.paths == ["/Wan-AI/Test/resolve/main/sub/model.safetensors"]
    last = [progress for progress in heard if progress.stage == "download"][-1]
    assert last.done_bytes == last.total_bytes == len(BODY)
    assert last.bytes_per_s > 0
    assert last.seconds_left == 0
    assert heard[-1].stage == "verify"


def test_several_files_share_one_progress(site: Site, folder: Path) -> None:
    heard: list[Progress] = []
    items = [ask(site, folder, file=f"{name}.safetensors") for name in "ab"]
    paths = download(items, heard.append, BRISK)
    assert [path.read_bytes() == BODY for path in paths] == [True, True]
    last = [progress for progress in heard if progress.stage == "download"][-1]
    assert last.done_bytes == last.total_bytes == 2 * len(BODY)


def test_a_cut_connection_goes_on_where_it_was_cut(site: Site, folder: Path) -> None:
    site.faults = [cut(1_000_000), cut(500_000)]
    assert fetch(ask(site, folder)).read_bytes() == BODY
    assert site.ranges == ["", "bytes=1000000-", "bytes=1500000-"]
    assert site.asked[1]["If-Range"] == '"one"'


def test_tries_end_and_what_came_is_kept_for_the_next_time(site: Site, folder: Path) -> None:
    site.faults = [cut(1_200_000), *[status(503)] * 3]
    error = refusal(ask(site, folder))
    assert (error.message, error.kept) == (
        "127.0.0.1 is out of order at the moment.",
        "1.2 of 3.0 MB are kept.",
    )
    assert error.hint.startswith("Resume. By hand: get model.safetensors from https://")
    assert len(site.asked) == 3
    again = ask(site, folder)
    assert again.kept_bytes == 1_200_000
    assert "1.2 of 3.0 MB are kept." in again.line
    site.faults = []
    assert fetch(again).read_bytes() == BODY
    assert site.ranges[-1] == "bytes=1200000-"


def test_a_connection_cut_for_ever_ends(site: Site, folder: Path) -> None:
    site.faults = [cut(10)] * 10
    error = refusal(ask(site, folder))
    assert error.message.startswith("The connection to 127.0.0.1 was cut.")
    assert len(site.asked) == 3


def test_a_stall_is_tried_again_and_then_told(site: Site, folder: Path) -> None:
    site.faults = [stall(2_000_000)]
    assert fetch(ask(site, folder)).read_bytes() == BODY
    site.faults = [stall(0)] * 3
    error = refusal(ask(site, folder, file="other.safetensors"))
    assert error.message == "127.0.0.1 does not answer."
    site.faults = [stall(1_500_000), *[stall(1)] * 3]
    error = refusal(ask(site, folder, file="third.safetensors"))
    assert (error.message, error.kept) == ("127.0.0.1 stopped sending.", "1.5 of 3.0 MB are kept.")


def test_a_changed_file_is_fetched_from_its_start(site: Site, folder: Path) -> None:
    site.faults = [cut(1_000_000), *[status(503)] * 2]
    refusal(ask(site, folder))
    site.body, site.etag = weights(seed=2), '"two"'
    assert fetch(ask(site, folder)).read_bytes() == site.body
    assert site.ranges[-1] == "bytes=1000000-"


def test_a_server_that_continues_another_file_is_not_believed(site: Site, folder: Path) -> None:
    def careless(handler: Handler) -> None:  # pays no heed to If-Range
        site.body, site.etag = weights(seed=2), '"two"'
        del handler.headers["If-Range"]
        answer(handler)

    site.faults = [cut(1_000_000), careless]
    assert fetch(ask(site, folder)).read_bytes() == weights(seed=2)
    assert site.ranges == ["", "bytes=1000000-", ""]


def test_a_file_that_changes_all_the_time_ends(site: Site, folder: Path) -> None:
    def changing(handler: Handler) -> None:
        site.etag = f'"{len(site.asked)}"'
        del handler.headers["If-Range"]
        answer(handler, 1_500_000)

    site.faults = [changing] * 20
    error = refusal(ask(site, folder), Patience(tries=9, pause_s=0.001))
    assert "changes at 127.0.0.1 while it is fetched" in error.message


def test_without_a_tag_only_a_known_hash_lets_it_go_on(site: Site, folder: Path) -> None:
    site.etag = ""
    site.faults = [cut(1_000_000), None] * 2
    assert fetch(ask(site, folder)).read_bytes() == BODY
    known = ask(site, folder, sha256=SHA256, file="known.safetensors")
    assert fetch(known).read_bytes() == BODY
    assert site.ranges == ["", "", "", "bytes=1000000-"]


def test_a_weak_tag_is_compared_here(site: Site, folder: Path) -> None:
    site.etag = 'W/"one"'
    site.faults = [cut(1_000_000)]
    assert fetch(ask(site, folder)).read_bytes() == BODY
    assert site.ranges[1] == "bytes=1000000-"
    assert "If-Range" not in site.asked[1]


def test_a_server_without_ranges_sends_it_all_again(site: Site, folder: Path) -> None:
    site.has_ranges = False
    site.faults = [cut(1_000_000)]
    assert fetch(ask(site, folder)).read_bytes() == BODY
    assert len(site.asked) == 2


def test_a_range_beyond_the_end_starts_from_zero(site: Site, folder: Path) -> None:
    item = ask(site, folder, sha256=SHA256)
    item.target.parent.mkdir(parents=True)
    item.part_path.write_bytes(bytes(len(BODY) + 5))
    assert fetch(item).read_bytes() == BODY
    assert site.ranges == [f"bytes={len(BODY) + 5}-", ""]


def test_a_length_that_is_not_told_is_no_hindrance(site: Site, folder: Path) -> None:
    site.faults = [chunked]
    assert fetch(ask(site, folder)).read_bytes() == BODY


def test_a_wrong_hash_is_told_and_the_part_is_gone(site: Site, folder: Path) -> None:
    error = refusal(ask(site, folder, sha256="0" * 64))
    assert error.message == "model.safetensors is damaged."
    assert error.hint.startswith("Get it again.")
    assert SHA256 in error.details
    assert names(folder) == []


def test_without_a_hash_the_header_is_read(site: Site, folder: Path) -> None:
    site.body = BODY[:-10]
    error = refusal(ask(site, folder))
    assert error.message == "model.safetensors is damaged."
    assert "ends early" in error.details
    assert names(folder) == []


def test_redirects_are_followed_and_what_they_say_of_the_hash_counts(
    site: Site, folder: Path
) -> None:
    def redirect(sha256: str) -> Fault:
        return status(302, Location="/cdn/abc?sign=1", X_Linked_Etag=f'"{sha256}"')

    site.faults = [redirect(SHA256), cut(1_000_000), redirect(SHA256), None]
    assert fetch(ask(site, folder)).read_bytes() == BODY
    assert site.ranges == ["", "", "bytes=1000000-", "bytes=1000000-"]
    site.faults = [redirect("1" * 64)]
    assert "is damaged" in refusal(ask(site, folder, file="b.safetensors")).message
    site.faults = [redirect("1" * 64)]
    known = ask(site, folder, sha256=SHA256, file="c.safetensors")
    assert "has another c.safetensors than the one known" in refusal(known).message
    site.faults = [status(302, Location="/again")] * 30
    assert "where none can follow" in refusal(ask(site, folder, file="d.safetensors")).message
    site.faults = [status(302, Location="file:///etc/passwd")]
    assert "where none can follow" in refusal(ask(site, folder, file="e.safetensors")).message


@pytest.mark.parametrize(
    ("code", "said", "requests"),
    [
        (401, "Wan-AI gives model.safetensors only to those who signed in.", 1),
        (403, "Wan-AI gives model.safetensors only to those who signed in.", 1),
        (404, "127.0.0.1 does not have model.safetensors.", 1),
        (407, "The proxy wants a name and a password.", 1),
        (416, "127.0.0.1 refused model.safetensors.", 1),
        (429, "127.0.0.1 asks to wait: too many downloads.", 3),
        (500, "127.0.0.1 is out of order at the moment.", 3),
    ],
)
def test_every_refusal_has_its_sentence(
    site: Site, folder: Path, code: int, said: str, requests: int
) -> None:
    site.faults = [status(code)] * 3
    assert refusal(ask(site, folder)).message == said
    assert len(site.asked) == requests
    assert names(folder) == []


def test_a_web_page_is_no_file_and_harms_nothing(site: Site, folder: Path) -> None:
    site.faults = [cut(1_000_000), page]
    error = refusal(ask(site, folder))
    assert error.message.startswith("127.0.0.1 sent a web page, not model.safetensors.")
    assert ask(site, folder).kept_bytes == 1_000_000


def test_no_connection_is_told(folder: Path) -> None:
    with serving() as site:
        item = ask(site, folder)
    assert refusal(item).message == "No connection to 127.0.0.1."


def test_no_connection_on_the_way_tells_what_is_kept(site: Site, folder: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        there = f"http://localhost:{nobody.getsockname()[1]}/x"
        site.faults = [cut(1_800_000), *[status(302, Location=there)] * 3]
        error = refusal(ask(site, folder))
    assert (error.message, error.kept) == ("No connection to localhost.", "1.8 of 3.0 MB are kept.")


def test_only_a_trusted_certificate_will_do_and_nothing_leads_away_from_it(
    site: Site, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (program := shutil.which("openssl")):
        pytest.skip("no openssl here to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    make = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    name = "-subj /CN=localhost -addext subjectAltName=DNS:localhost"
    files = ["-keyout", str(key), "-out", str(certificate)]
    made = subprocess.run([program, *make.split(), *name.split(), *files], capture_output=True)
    if made.returncode:
        pytest.skip("this openssl makes no such certificate")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    site.socket = context.wrap_socket(site.socket, server_side=True)
    secure = f"https://localhost:{site.server_address[1]}/x"
    item = msgspec.structs.replace(ask(site, folder), url=secure)
    assert refusal(item).message == "The certificate of localhost is not trusted here."
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    site.faults = [status(302, Location="http://localhost/x")]
    assert refusal(item).message == "localhost would send model.safetensors unprotected."
    site.faults = [stall(1_000_000), None]
    assert fetch(item).read_bytes() == BODY


def test_a_server_that_speaks_no_tls_is_told(site: Site, folder: Path) -> None:
    item = ask(site, folder)
    item = msgspec.structs.replace(item, url=item.url.replace("http:", "https:"))
    assert refusal(item).message == "No secure connection to 127.0.0.1."


def test_a_proxy_of_the_system_is_used(
    site: Site, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", site.url)
    item = ask(site, folder)
    url = item.url.replace(site.url, "http://models.invalid")
    assert fetch(msgspec.structs.replace(item, url=url)).read_bytes() == BODY
    assert site.paths == [url]


@pytest.mark.parametrize("came", [0, 1_000_000])
def test_cancelling_takes_at_once_and_keeps_what_came(site: Site, folder: Path, came: int) -> None:
    site.faults = [stall(came)]
    item = ask(site, folder)
    pressed: list[float] = []

    def tell(progress: Progress) -> None:
        if pressed:
            raise Cancelled
        if progress.done_bytes == came and site.asked:
            threading.Timer(0.03, lambda: pressed.append(time.monotonic())).start()

    with pytest.raises(Cancelled):
        download([item], tell, Patience())
    assert time.monotonic() - pressed[0] < 0.2
    assert ask(site, folder).kept_bytes == came
    assert fetch(ask(site, folder)).read_bytes() == BODY
    assert site.ranges[-1] == (f"bytes={came}-" if came else "")


def test_cancelling_the_verification_needs_no_second_download(site: Site, folder: Path) -> None:
    def tell(progress: Progress) -> None:
        if progress.stage == "verify":
            raise Cancelled

    with pytest.raises(Cancelled):
        download([ask(site, folder, sha256=SHA256)], tell, BRISK)
    assert fetch(ask(site, folder, sha256=SHA256)).read_bytes() == BODY
    assert len(site.asked) == 1


def test_a_file_that_is_there_is_not_fetched_again(site: Site, folder: Path) -> None:
    item = ask(site, folder, sha256=SHA256)
    item.target.parent.mkdir(parents=True)
    item.target.write_bytes(BODY)
    assert fetch(item) == item.target
    assert site.asked == []
    assert fetch(ask(site, folder)).read_bytes() == BODY  # the same length is what can be known
    assert names(folder) == ["model.safetensors"]


def test_another_file_of_that_name_is_left_alone_and_a_damaged_one_replaced(
    site: Site, folder: Path
) -> None:
    other = weights(1000)
    for sha256 in (SHA256, ""):
        item = ask(site, folder, sha256=sha256)
        item.target.parent.mkdir(parents=True, exist_ok=True)
        item.target.write_bytes(other)
        assert "is there already and is another file" in refusal(item).message
        assert item.target.read_bytes() == other
        item.target.write_bytes(BODY[:-1])
        assert fetch(item).read_bytes() == BODY


def test_too_little_room_is_told_before_anything_is_asked(site: Site, folder: Path) -> None:
    items = [ask(site, folder, file=f"{name}.safetensors", size_bytes=6 * 10**17) for name in "ab"]
    with pytest.raises(DownloadError) as caught:
        download(items, quiet, BRISK)
    said = caught.value.message
    assert said.startswith("Not enough room: needs 1200000000 GB, ")
    assert said.endswith(f" free in {folder.parent.name} / weights.")
    assert "Choose another folder." in caught.value.hint
    assert str(items[0].target) in caught.value.hint
    assert site.asked == []
    assert not folder.exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no small disk can be made here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_is_told_and_what_came_is_kept(site: Site, small_disk: Path) -> None:
    item = ask(site, small_disk, size_bytes=1000)
    said = refusal(item).message  # the catalog knew too little, the server's word counts
    assert said.startswith("Not enough room: needs 3.0 MB, ")
    site.faults = [chunked]  # and this one says nothing
    error = refusal(item)
    assert error.message.startswith("The disk is full.")
    assert error.hint.startswith("Make room and resume")
    assert item.part_path.stat().st_size > 500_000
    assert not item.target.exists()


def test_a_disk_without_large_files_is_told(site: Site, folder: Path) -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, hard))
    try:
        error = refusal(ask(site, folder))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (error.message, error.kept) == (
        "The disk of vae takes no files this large.",
        "1.5 of 3.0 MB are kept.",
    )


def test_a_folder_that_takes_nothing_is_told(site: Site, folder: Path) -> None:
    folder.write_text("a file")
    assert refusal(ask(site, folder)).message.startswith("Cannot write model.safetensors: ")
    assert site.asked == []


def test_nothing_happens_by_importing_it() -> None:
    code = """
import sys, threading
import engine.library.download_offer
light = not {"ssl", "urllib.request", "huggingface_hub"} & set(sys.modules)
import engine.library.download
sys.exit(not (light and threading.active_count() == 1 and "torch" not in sys.modules))
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
