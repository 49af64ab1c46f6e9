// Bundles the pages into web/dist: hashed assets (cached for ever) and an index.html that only names them, without
// inline scripts or styles, so that the pages run under `script-src 'self'; style-src 'self'`.
import { build } from "esbuild";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const web = join(dirname(fileURLToPath(import.meta.url)), "..");
const dist = join(web, "dist");

await rm(dist, { recursive: true, force: true });
await mkdir(join(dist, "assets"), { recursive: true });
const result = await build({
  entryPoints: { app: join(web, "src/main.tsx") },
  outdir: join(dist, "assets"),
  entryNames: "[name]-[hash]",
  assetNames: "[name]-[hash]",
  bundle: true,
  minify: true,
  format: "esm",
  target: ["es2022"],
  jsx: "automatic",
  jsxImportSource: "preact",
  loader: { ".svg": "file" },
  legalComments: "linked",
  metafile: true,
  absWorkingDir: web,
  logLevel: "warning",
});

const outputs = Object.keys(result.metafile.outputs).map((path) => basename(path));
const asset = (ending) => {
  const found = outputs.find((name) => name.startsWith("app-") && name.endsWith(ending));
  if (!found) throw new Error(`the bundle has no ${ending} file`);
  return `/assets/${found}`;
};
const template = await readFile(join(web, "index.html"), "utf8");
await writeFile(join(dist, "index.html"), template.replace("%STYLE%", asset(".css")).replace("%SCRIPT%", asset(".js")));
await writeFile(join(dist, "favicon.svg"), await readFile(join(web, "favicon.svg")));
// What the bundle is made of is passed on with its licences.
const { dependencies } = JSON.parse(await readFile(join(web, "package.json"), "utf8"));
const packages = [...Object.keys(dependencies), "@preact/signals-core"];
const licences = packages.map(
  async (name) => `${name}\n\n${await readFile(join(web, "node_modules", name, "LICENSE"), "utf8")}`,
);
await writeFile(join(dist, "licenses.txt"), (await Promise.all(licences)).join("\n\n"));
for (const [path, { bytes }] of Object.entries(result.metafile.outputs)) {
  console.log(`${String(bytes).padStart(8)}  ${path}`);
}
