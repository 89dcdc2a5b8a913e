import react from '@vitejs/plugin-react'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vite'

// Assets are never inlined: the page's CSP allows no data: scripts, styles or fonts.
export default defineConfig({
  plugins: [react()],
  resolve: { alias: { '@': fileURLToPath(new URL('./src', import.meta.url)) } },
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 900,
    sourcemap: false,
    // Read by first-load.js, which watches over what a first page costs.
    manifest: true,
  },
  server: {
    proxy: {
      '/api': 'http://127.0.0.1:8888',
      '/editor': 'http://127.0.0.1:8888',
      '/ws': { target: 'ws://127.0.0.1:8888', ws: true },
    },
  },
})
