// Reads a JSON list of pairs of sources; prints the numbers of those that are not the same program.

import { readFileSync } from "node:fs";

import ts from "typescript";

const options = { removeComments: true, target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ES2022 };
const program = (source) => ts.transpileModule(source, { compilerOptions: options }).outputText;

const pairs = JSON.parse(readFileSync(0, "utf-8"));
const differ = pairs.flatMap(([one, other], at) => (program(one) === program(other) ? [] : [at]));
console.log(JSON.stringify(differ));
