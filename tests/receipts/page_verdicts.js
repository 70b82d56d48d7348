// Runs the script of verify.html over a folder of files: `node page_verdicts.js PAGE FOLDER`. The folder's index.json lists
// [{receipt, trust}]; prints [{verdict, check, checks: [[name, outcome]]}] or {fault} for each, in that order.
"use strict";
const fs = require("node:fs");
const path = require("node:path");

globalThis.crypto ??= require("node:crypto").webcrypto; // Not global before Node 19.
const [page, folder] = process.argv.slice(2);
const script = fs.readFileSync(page, "utf8").match(/<script>([^]*)<\/script>/)[1];
const loaded = { exports: {} };
new Function("module", script)(loaded);
const read = (name) => new Uint8Array(fs.readFileSync(path.join(folder, name)));

(async () => {
  const answers = [];
  for (const { receipt, trust } of JSON.parse(fs.readFileSync(path.join(folder, "index.json"), "utf8"))) {
    try {
      const report = await loaded.exports.verify(read(receipt), read(trust));
      const checks = report.checks.map((check) => [check.name, check.outcome]);
      answers.push({ verdict: report.verdict, check: report.deciding, checks });
    } catch (error) {
      answers.push({ fault: String(error) });
    }
  }
  console.log(JSON.stringify(answers));
})();
