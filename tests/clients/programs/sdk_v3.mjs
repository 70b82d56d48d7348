// AWS SDK for JavaScript v3: puts, streams, multipart uploads, pages, copies, presigned URLs and typed errors.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { Readable } from "node:stream";

import {
  CopyObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  NoSuchKey,
  PutObjectCommand,
  S3Client,
  paginateListObjectsV2,
} from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";

const [endpoint, Bucket] = process.argv.slice(2);
const s3 = new S3Client({ endpoint, forcePathStyle: true, maxAttempts: 1 });
const MIB = 1024 * 1024;
const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");
const read = async (Key, more = {}) => {
  const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key, ...more }));
  return Buffer.from(await Body.transformToByteArray());
};

// A buffer, with the checksum that the SDK sends and checks by itself.
const small = randomBytes(70_000);
const put = await s3.send(
  new PutObjectCommand({ Bucket, Key: "a b/ü.bin", Body: small, Metadata: { colour: "red" }, ContentType: "image/x" }),
);
assert.ok(put.ChecksumCRC32, "the default checksum is answered");
const head = await s3.send(new HeadObjectCommand({ Bucket, Key: "a b/ü.bin" }));
assert.deepEqual(
  [head.ContentLength, head.Metadata.colour, head.ContentType, head.ETag],
  [70_000, "red", "image/x", put.ETag],
);
assert.equal(sha256(await read("a b/ü.bin", { ChecksumMode: "ENABLED" })), sha256(small));
assert.deepEqual(await read("a b/ü.bin", { Range: "bytes=65530-65545" }), small.subarray(65530, 65546));
assert.deepEqual(await read("a b/ü.bin", { Range: "bytes=-7" }), small.subarray(-7));

// A stream of known length is sent in chunks with a trailing checksum.
await s3.send(
  new PutObjectCommand({
    Bucket,
    Key: "stream",
    Body: Readable.from([small.subarray(0, 1000), small.subarray(1000)]),
    ContentLength: small.length,
  }),
);
assert.equal(sha256(await read("stream")), sha256(small));

// A stream of unknown length goes as a multipart upload.
const large = randomBytes(12 * MIB + 3);
const chunks = Array.from({ length: 13 }, (_, at) => large.subarray(at * MIB, (at + 1) * MIB));
await new Upload({ client: s3, params: { Bucket, Key: "large", Body: Readable.from(chunks) }, partSize: 5 * MIB }).done();
assert.equal(sha256(await read("large")), sha256(large));
const part = await s3.send(new HeadObjectCommand({ Bucket, Key: "large", PartNumber: 3 }));
assert.deepEqual([part.PartsCount, part.ContentLength], [3, 2 * MIB + 3]);

// Pages, copies, deletes.
for (let at = 0; at < 7; at++) await s3.send(new PutObjectCommand({ Bucket, Key: `page/${at}`, Body: `${at}` }));
const listed = [];
for await (const page of paginateListObjectsV2({ client: s3, pageSize: 3 }, { Bucket, Prefix: "page/" })) {
  assert.ok(page.Contents.length <= 3);
  listed.push(...page.Contents.map((entry) => entry.Key));
}
assert.deepEqual(listed, [0, 1, 2, 3, 4, 5, 6].map((at) => `page/${at}`));
await s3.send(
  new CopyObjectCommand({ Bucket, Key: "copy", CopySource: `${Bucket}/${encodeURIComponent("a b/ü.bin")}` }),
);
assert.equal(sha256(await read("copy")), sha256(small));
const gone = await s3.send(
  new DeleteObjectsCommand({ Bucket, Delete: { Objects: [...listed, "copy"].map((Key) => ({ Key })) } }),
);
assert.equal(gone.Deleted.length, 8);
await assert.rejects(read("copy"), NoSuchKey);

// What a browser gets from its server.
const writable = await getSignedUrl(s3, new PutObjectCommand({ Bucket, Key: "presigned" }), { expiresIn: 60 });
assert.equal((await fetch(writable, { method: "PUT", body: "by URL" })).status, 200);
const readable = await getSignedUrl(s3, new GetObjectCommand({ Bucket, Key: "presigned" }), { expiresIn: 60 });
assert.equal(await (await fetch(readable)).text(), "by URL");
