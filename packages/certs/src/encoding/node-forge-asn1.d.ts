// SPDX-License-Identifier: Apache-2.0
// Types for the one file of node-forge that is loaded: its ASN.1. The whole library takes three times as long to load
// and brings ciphers, keys and a TLS of its own, which nothing here wants.

declare module 'node-forge/lib/asn1.js' {
  import type forge from 'node-forge';

  interface FromDerOptions {
    strict: boolean;
    parseAllBytes: boolean;
    decodeBitStrings: boolean;
    maxDepth: number;
  }

  const asn1: Omit<typeof forge.asn1, 'fromDer'> & {
    // The options form is what node-forge offers since 1.0; its published types only know the boolean.
    fromDer(bytes: string, options: FromDerOptions): forge.asn1.Asn1;
  };
  export default asn1;
}
