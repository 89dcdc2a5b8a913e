export { GroupForm, GroupList, GroupPage } from './groups'
export { RoleForm, RoleList, RolePage } from './roles'
export { UserForm, UserList, UserPage } from './users'
