/** The version of all packages; scripts/sync-version.mjs keeps it. */
export const VERSION = "0.1.0";
