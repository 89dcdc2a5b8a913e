import { useTranslation } from 'react-i18next'
import { Modal } from '@/components/ui/Modal'

const KEYS: [string, string[]][] = [
  ['palette', ['Ctrl', 'K']],
  ['run', ['Ctrl', 'Enter']],
  ['runAll', ['Ctrl', 'Shift', 'Enter']],
  ['cancel', ['Ctrl', '.']],
  ['newTab', ['Alt', 'N']],
  ['complete', ['Ctrl', 'Space']],
  ['find', ['Ctrl', 'F']],
  ['comment', ['Ctrl', '/']],
  ['leaveText', ['Esc', 'Tab']],
  ['copyCells', ['Ctrl', 'C']],
  ['help', ['?']],
]

/** Every key that does something; opened with `?`. */
export function KeyList({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation()
  const mac = navigator.userAgent.includes('Mac')
  return (
    <Modal open title={t('keys.title')} onCancel={onClose} footer={null} width={460}>
      <dl className="qk-facts">
        {KEYS.map(([name, keys]) => (
          <div key={name}>
            <dt>
              <span className="qk-row">
                {keys.map((key) => (
                  <kbd key={key}>{mac && key === 'Ctrl' ? '⌘' : key}</kbd>
                ))}
              </span>
            </dt>
            <dd>{t(`keys.${name}`)}</dd>
          </div>
        ))}
      </dl>
    </Modal>
  )
}
