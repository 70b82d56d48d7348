"""s3fs (fsspec): files, directories, appends by parts, globs, moves, and Parquet through pandas-less PyArrow."""

import os
import sys

import pyarrow
import pyarrow.parquet
import s3fs

MIB = 1024 * 1024
endpoint, bucket = sys.argv[1:]
fs = s3fs.S3FileSystem(
    endpoint_url=endpoint, client_kwargs={"verify": os.environ.get("AWS_CA_BUNDLE")},
    config_kwargs={"s3": {"addressing_style": "path"}, "retries": {"total_max_attempts": 1}},
)  # fmt: skip

content = os.urandom(12 * MIB + 5)
with fs.open(f"{bucket}/dir/large.bin", "wb", block_size=5 * MIB) as file:
    for at in range(0, len(content), MIB):
        file.write(content[at : at + MIB])
assert fs.size(f"{bucket}/dir/large.bin") == len(content)
with fs.open(f"{bucket}/dir/large.bin", "rb", block_size=MIB) as file:
    file.seek(5 * MIB - 3)
    assert file.read(10) == content[5 * MIB - 3 : 5 * MIB + 7]
assert fs.cat_file(f"{bucket}/dir/large.bin", start=-9) == content[-9:]
assert fs.cat_ranges([f"{bucket}/dir/large.bin"] * 2, [0, 65_536], [5, 65_540]) == [content[:5], content[65_536:65_540]]

fs.pipe({f"{bucket}/dir/{name}": name.encode() for name in ("one.txt", "two.txt", "sub/three.txt")})
assert fs.ls(f"{bucket}/dir", detail=False) == [
    f"{bucket}/dir/{name}" for name in ("large.bin", "one.txt", "sub", "two.txt")
]
assert fs.glob(f"{bucket}/dir/**/*.txt") == [f"{bucket}/dir/{name}" for name in ("one.txt", "sub/three.txt", "two.txt")]
with fs.open(f"{bucket}/dir/one.txt", "ab") as file:
    file.write(b" and more")
assert fs.cat_file(f"{bucket}/dir/one.txt") == b"one.txt and more"
fs.mv(f"{bucket}/dir/two.txt", f"{bucket}/dir/2.txt")
assert not fs.exists(f"{bucket}/dir/two.txt") and fs.cat_file(f"{bucket}/dir/2.txt") == b"two.txt"

table = pyarrow.table({"n": list(range(200_000)), "s": [f"row {n}" for n in range(200_000)]})
with fs.open(f"{bucket}/data/table.parquet", "wb") as file:
    pyarrow.parquet.write_table(table, file, row_group_size=20_000)
with fs.open(f"{bucket}/data/table.parquet", "rb") as file:
    assert pyarrow.parquet.ParquetFile(file).read_row_group(7, columns=["n"])["n"][0].as_py() == 140_000
fs.rm(f"{bucket}/dir", recursive=True)
assert [path for path in fs.find(f"{bucket}/dir") if path != f"{bucket}/dir"] == []
