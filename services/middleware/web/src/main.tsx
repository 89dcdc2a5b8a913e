import './styles/base.css'
import './styles/controls.css'
import './styles/kit.css'
import './styles/frame.css'
import './styles/compact.css'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { App } from '@/app/App'
import { startI18n } from '@/i18n'

const root = document.getElementById('root')
if (!root) throw new Error('index.html has no #root')

await startI18n()
createRoot(root).render(
  <StrictMode>
    <App />
  </StrictMode>,
)
