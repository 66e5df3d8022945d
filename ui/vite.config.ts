import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// `npm run dev` passes what is not a page on to a running console: KUBIYA_CONSOLE=http://127.0.0.1:8088. Sign in there
// first; cookies do not know ports.
const target = process.env.KUBIYA_CONSOLE ?? "http://127.0.0.1:8088";
const passed = { target, headers: { origin: target }, changeOrigin: true };

export default defineConfig({
  plugins: [react()],
  // Who serves the document says where it is: a machine's at the root, a control plane's below /ui.
  base: "./",
  build: {
    outDir: "../src/kubiya_workers/console/static",
    emptyOutDir: true,
    // The content security policy knows no `data:` but for images.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: { host: "127.0.0.1", proxy: { "/api": passed, "/console": passed } },
});
