/* A hook of the module loader: some specifiers lead elsewhere. */

/** @type {Record<string, string>} addresses of files, by specifier */
let replaced = {}

export function initialize (data) {
  replaced = data
}

export function resolve (specifier, context, nextResolve) {
  const url = replaced[specifier]
  return url === undefined ? nextResolve(specifier, context) : { url, shortCircuit: true }
}
