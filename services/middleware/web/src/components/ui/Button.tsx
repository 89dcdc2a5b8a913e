import { LoaderCircle } from 'lucide-react'
import type { ComponentProps, ReactNode } from 'react'
import { Link } from 'react-router'

interface Look {
  type?: 'primary' | 'text'
  size?: 'small' | 'large'
  danger?: boolean
  block?: boolean
}

function classOf({ type, size, danger, block }: Look, className = ''): string {
  return [
    'qk-button',
    type ? `qk-button-${type}` : '',
    size ? `qk-button-${size}` : '',
    danger ? 'qk-button-danger' : '',
    block ? 'qk-button-block' : '',
    className,
  ]
    .filter(Boolean)
    .join(' ')
}

/** A button; while `loading` it takes no second press. */
export function Button({
  type,
  size,
  danger,
  block,
  icon,
  loading = false,
  disabled,
  htmlType = 'button',
  className,
  children,
  ...rest
}: Look & {
  icon?: ReactNode
  loading?: boolean
  htmlType?: 'button' | 'submit'
} & Omit<ComponentProps<'button'>, 'type'>) {
  return (
    <button
      {...rest}
      type={htmlType}
      className={classOf({ type, size, danger, block }, className)}
      disabled={disabled || loading}
      aria-busy={loading || undefined}
    >
      {loading ? <LoaderCircle size={14} className="qk-turning" aria-hidden /> : icon}
      {children}
    </button>
  )
}

/** A link to a page that looks like the action it is. */
export function LinkButton({ to, type, size, danger, icon, children }: Look & { to: string; icon?: ReactNode; children: ReactNode }) {
  return (
    <Link to={to} className={classOf({ type, size, danger })}>
      {icon}
      {children}
    </Link>
  )
}
