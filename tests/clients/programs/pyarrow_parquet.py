"""PyArrow's own S3 file system (AWS SDK for C++): Parquet data sets, of which it reads the columns and rows it needs."""

import os
import sys
import urllib.parse

import pyarrow
import pyarrow.dataset
import pyarrow.fs
import pyarrow.parquet

endpoint, bucket = urllib.parse.urlsplit(sys.argv[1]), sys.argv[2]
fs = pyarrow.fs.S3FileSystem(
    access_key=os.environ["AWS_ACCESS_KEY_ID"], secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
    region=os.environ["AWS_REGION"], scheme=endpoint.scheme, endpoint_override=endpoint.netloc,
    tls_ca_file_path=os.environ.get("AWS_CA_BUNDLE"), force_virtual_addressing=False,
    retry_strategy=pyarrow.fs.AwsStandardS3RetryStrategy(max_attempts=1),
)  # fmt: skip

rows = 300_000
table = pyarrow.table({
    "year": [2020 + n % 3 for n in range(rows)], "n": list(range(rows)), "s": [f"row {n}" for n in range(rows)],
})  # fmt: skip
pyarrow.dataset.write_dataset(
    table, f"{bucket}/set", filesystem=fs, format="parquet", partitioning=["year"], partitioning_flavor="hive"
)
data = pyarrow.dataset.dataset(f"{bucket}/set", filesystem=fs, format="parquet", partitioning="hive")
assert data.count_rows() == rows
picked = data.to_table(columns=["n"], filter=(pyarrow.dataset.field("year") == 2021) & (pyarrow.dataset.field("n") < 30))
assert sorted(picked["n"].to_pylist()) == list(range(1, 30, 3))

# Incompressible, so that it goes up in parts.
noise = pyarrow.table({"b": [os.urandom(100_000) for _ in range(150)]})
pyarrow.parquet.write_table(noise, f"{bucket}/noise.parquet", filesystem=fs, row_group_size=10)
file = pyarrow.parquet.ParquetFile(f"{bucket}/noise.parquet", filesystem=fs)
assert file.num_row_groups == 15
assert file.read_row_group(9)["b"].to_pylist() == noise["b"].to_pylist()[90:100]
with fs.open_input_file(f"{bucket}/noise.parquet") as raw:
    assert raw.read_at(4, raw.size() - 4) == b"PAR1"

names = sorted(entry.base_name for entry in fs.get_file_info(pyarrow.fs.FileSelector(f"{bucket}/set")))
assert names == ["year=2020", "year=2021", "year=2022"], names
fs.copy_file(f"{bucket}/noise.parquet", f"{bucket}/copy.parquet")
fs.move(f"{bucket}/copy.parquet", f"{bucket}/moved.parquet")
assert fs.get_file_info(f"{bucket}/moved.parquet").size == fs.get_file_info(f"{bucket}/noise.parquet").size
assert fs.get_file_info(f"{bucket}/copy.parquet").type == pyarrow.fs.FileType.NotFound
fs.delete_dir(f"{bucket}/set")
left = fs.get_file_info(pyarrow.fs.FileSelector(f"{bucket}/set", recursive=True, allow_not_found=True))
assert [entry.path for entry in left if entry.is_file] == []
