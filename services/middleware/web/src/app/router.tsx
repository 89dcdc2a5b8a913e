import { createBrowserRouter, type RouteObject } from 'react-router'
import { Frame } from './Frame'
import { Home, Missing, RouteFailed, Waiting } from './pages'

/** A route whose page is a chunk of its own. */
function lazy(path: string, load: () => Promise<Record<string, unknown>>, name: string): RouteObject {
  return {
    path,
    lazy: async () => ({ Component: (await load())[name] as React.ComponentType }),
  }
}

const access = () => import('@/modules/access')
const people = () => import('@/modules/people')
const databases = () => import('@/modules/databases')
const activity = () => import('@/modules/activity')
const operations = () => import('@/modules/operations')
const profile = () => import('@/modules/profile')
const auth = () => import('@/modules/auth')
const agent = () => import('@/modules/agent')

export const router = createBrowserRouter([
  {
    errorElement: <RouteFailed />,
    hydrateFallbackElement: <Waiting />,
    children: [
      lazy('/sign-in', auth, 'SignIn'),
      lazy('/password', auth, 'ChangePassword'),
      lazy('/setup', auth, 'FirstOwner'),
      lazy('/gallery', () => import('@/modules/gallery'), 'Gallery'),
      lazy('/agent/confirm', agent, 'ConfirmAgent'),
      lazy('/agent/device', agent, 'EnterDeviceCode'),
      {
        path: '/',
        element: <Frame />,
        children: [
          {
            errorElement: <RouteFailed />,
            children: [
              { index: true, element: <Home /> },
              lazy('overview', () => import('@/modules/overview'), 'Overview'),
              lazy('editor', () => import('@/modules/editor'), 'EditorPage'),
              lazy('my/connections', databases, 'MyConnections'),
              lazy('history', () => import('@/modules/editor/history'), 'HistoryPage'),
              lazy('connections', databases, 'ConnectionList'),
              lazy('connections/new', databases, 'ConnectionForm'),
              lazy('connections/:id', databases, 'ConnectionPage'),
              lazy('connections/:id/edit', databases, 'ConnectionForm'),
              lazy('connections/:id/catalog', databases, 'CatalogPage'),
              lazy('grants', access, 'GrantList'),
              lazy('grants/new', access, 'GrantForm'),
              lazy('grants/:id', access, 'GrantPage'),
              lazy('grants/:id/edit', access, 'GrantForm'),
              lazy('privileges', access, 'PrivilegeList'),
              lazy('privileges/new', access, 'PrivilegeForm'),
              lazy('privileges/:id', access, 'PrivilegePage'),
              lazy('privileges/:id/edit', access, 'PrivilegeForm'),
              lazy('rules/:type', access, 'RuleList'),
              lazy('rules/:type/new', access, 'RuleForm'),
              lazy('rules/:type/:id', access, 'RulePage'),
              lazy('rules/:type/:id/edit', access, 'RuleForm'),
              lazy('explain', access, 'Explain'),
              lazy('r/:code', access, 'RuleByCode'),
              lazy('users', people, 'UserList'),
              lazy('users/new', people, 'UserForm'),
              lazy('users/:id', people, 'UserPage'),
              lazy('users/:id/edit', people, 'UserForm'),
              lazy('groups', people, 'GroupList'),
              lazy('groups/new', people, 'GroupForm'),
              lazy('groups/:id', people, 'GroupPage'),
              lazy('groups/:id/edit', people, 'GroupForm'),
              lazy('roles', people, 'RoleList'),
              lazy('roles/new', people, 'RoleForm'),
              lazy('roles/:id', people, 'RolePage'),
              lazy('roles/:id/edit', people, 'RoleForm'),
              lazy('audit/statements', activity, 'StatementList'),
              lazy('audit/statements/:id', activity, 'StatementPage'),
              lazy('audit/events', activity, 'EventList'),
              lazy('sessions', activity, 'SessionList'),
              lazy('jobs', operations, 'JobList'),
              lazy('jobs/:id', operations, 'JobPage'),
              lazy('health', operations, 'HealthPage'),
              lazy('profile', profile, 'Profile'),
              { path: '*', element: <Missing /> },
            ],
          },
        ],
      },
    ],
  },
])
