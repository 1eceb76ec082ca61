"""Binary data: MNIST under Larochelle's fixed binarisation, and the DEBD tables."""

import functools
import hashlib

import numpy as np

from experiments.data import files
from experiments.data.dataset import Dataset, Entry
from experiments.data.published import MADE_TABLE

_SETS = ("train", "valid", "test")
_DEBD = "https://raw.githubusercontent.com/arranger1044/DEBD/master/datasets"
_MNIST = "http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist"
# SHA-256 of the rows of the three sets after `numpy.packbits`: a checksum of the content,
# for files of any format.
_SHA256 = {
    "adult": "4259a4fea983930ededeeefd0ee468d0b51bb1ddfaf471ea57a7d27f659f11ba",
    "connect4": "99a348d0453a6b5086861b45774fbd5c70f7c50457ff8c1c03f974e3cad9448f",
    "dna": "24995bcbb09d67e1f27189ae93c1f7484d7ff3208365dab3ce5075d4c412d6ad",
    "mushrooms": "fc42625b81431b71884fec4f43a326272dba2e476cd15bd8e990bca5cf21fcb3",
    "nips": "1bdf4cca3a8b2b47feacd09adf9269fbd8967e5116abe72e56572bbe2a0e8e18",
    "nltcs": "d1a43f92acb57cf19167c25d4d7013eb52935982bb3e226d56fd330e00e10a06",
    "ocr_letters": "58a7fe0e63f65a9fbafcec3065f85768cd88b866f1f2ff503c777235a13c2884",
    "plants": "85b7aec15770d4ddc65446312c02922e0279ab9b3b8372bb458c32c8a9b5ff67",
    "binarized_mnist": "c462f82a020638a4d5d8d44e4c83242ee0145ee1d125869d0e030c35011837e6",
}
# Number of variables, and rows of each set.
_SIZES = {
    "adult": (123, (5000, 1414, 26147)),
    "connect4": (126, (16000, 4000, 47557)),
    "dna": (180, (1600, 400, 1186)),
    "mushrooms": (112, (2000, 500, 5624)),
    "nips": (500, (400, 100, 1240)),
    "nltcs": (16, (16181, 2157, 3236)),
    "ocr_letters": (128, (32152, 10000, 10000)),
    "plants": (69, (17412, 2321, 3482)),
    "binarized_mnist": (784, (50000, 10000, 10000)),
}


def load_debd(name, request):
    """Returns one of the discrete estimation benchmark data sets, in its own split."""
    packed = files.find_prepared(request.data_dir, f"debd/{name}.npz")
    addresses = [f"{_DEBD}/{name}/{name}.{part}.data" for part in _SETS]
    return _dataset(name, _sets(name, request.data_dir, packed, addresses, ","))


def load_binarized_mnist(request):
    """Returns MNIST with binary pixels, in Larochelle's fixed draw."""
    file = "mnist_static_binarized/binarized_mnist_packed.npz"
    packed = files.find_prepared(request.data_dir, file)
    addresses = [f"{_MNIST}/binarized_mnist_{part}.amat" for part in _SETS]
    sets = _sets("binarized_mnist", request.data_dir, packed, addresses, None)
    return _dataset("binarized_mnist", sets, image_shape=(28, 28))


def load_dna_made(request):
    """Returns DNA with the split of MADE's authors into training and validation rows."""
    wanted = (
        "dna.npz, whose arrays made_train, made_valid and test hold packed bits (no public "
        "file has this split)"
    )
    path = files.need_prepared(request.data_dir, "debd/dna.npz", wanted=wanted)
    return _dataset("dna_made", _unpacked(path, 180, ("made_train", "made_valid", "test")))


def _dataset(name, sets, **facts):
    sets = [rows.astype(np.float32) for rows in sets]
    published = MADE_TABLE.get(name, {})
    return Dataset(name, *sets, is_binary=True, published=published, **facts)


def _sets(name, data_dir, packed, addresses, delimiter):
    num_variables, num_rows = _SIZES[name]
    if packed:
        sets = _unpacked(packed, num_variables, _SETS)
    else:
        folder = files.existing_folder(data_dir) if data_dir else files.cache_folder()
        sets = [_read_text(address, folder, delimiter) for address in addresses]
    content = b"".join(np.packbits(rows, axis=1).tobytes() for rows in sets)
    if hashlib.sha256(content).hexdigest() != _SHA256[name]:
        raise files.DataError(
            f"Expected {num_rows} rows of {num_variables} zeros and ones, those of {name}; "
            f"got others, of shapes {[rows.shape for rows in sets]}, from "
            f"{packed or addresses[0]}. If they were downloaded, delete them."
        )
    return sets


def _unpacked(path, num_variables, keys):
    arrays = files.load_arrays(path, keys).values()
    with files.reading("packed bits", path, (TypeError, ValueError)):
        return [np.unpackbits(a, axis=1)[:, :num_variables] for a in arrays]


def _read_text(address, folder, delimiter):
    path = folder / address.rpartition("/")[2]
    if not path.is_file():
        files.download(address, path)
    with files.reading("rows of zeros and ones", path, ValueError):
        return np.loadtxt(path, np.uint8, delimiter=delimiter, ndmin=2)


def _debd(name):
    event_size, num_rows = _SIZES[name]
    origin = "discrete estimation benchmark data sets (DEBD)"
    return Entry(functools.partial(load_debd, name), origin, num_rows, event_size)


ENTRIES = {
    "binarized_mnist": Entry(
        load_binarized_mnist,
        "MNIST, Larochelle's fixed binarisation",
        (50_000, 10_000, 10_000),
        784,
    ),
    **{name: _debd(name) for name in _SIZES if name != "binarized_mnist"},
    "dna_made": Entry(
        load_dna_made, "dna, split of MADE's authors", (1400, 600, 1186), 180
    ),
}
